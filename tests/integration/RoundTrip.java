import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.json.JsonConverter;

/** Reads records with Kafka Connect's JsonConverter, line by line, and writes each as JsonConverter does. */
public class RoundTrip {
    public static void main(String[] arguments) throws Exception {
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", "true", "schemas.cache.size", "10"), false);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            SchemaAndValue read = converter.toConnectData("topic", line.getBytes(StandardCharsets.UTF_8));
            ((Struct) read.value()).validate();
            System.out.write(converter.fromConnectData("topic", read.schema(), read.value()));
            System.out.write('\n');
        }
        System.out.flush();
    }
}
