import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.format.Json;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Properties;
import java.util.stream.Collectors;

/**
 * Runs Debezium's connector with the properties named on the command line (name=value) until its standard input
 * ends, and writes each record as a line: {"key":.., "value":.., "headers":{..}}, each part as JsonConverter wrote it.
 */
public class Engine {
    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        for (String argument : arguments) {
            String[] parts = argument.split("=", 2);
            properties.setProperty(parts[0], parts[1]);
        }
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        DebeziumEngine<ChangeEvent<String, String>> engine = DebeziumEngine.create(Json.class, Json.class, Json.class)
                .using(properties)
                .notifying(event -> out.println(line(event)))
                .using((success, message, error) -> {
                    if (!success) {
                        System.err.println(message);
                        System.exit(1);
                    }
                })
                .build();
        new Thread(engine).start();
        while (System.in.read() >= 0) {
        }
        System.exit(0);
    }

    private static String line(ChangeEvent<String, String> event) {
        String headers = event.<String>headers().stream()
                .map(header -> "\"" + header.getKey() + "\":" + header.getValue())
                .collect(Collectors.joining(","));
        return "{\"key\":" + event.key() + ",\"value\":" + event.value() + ",\"headers\":{" + headers + "}}";
    }
}
