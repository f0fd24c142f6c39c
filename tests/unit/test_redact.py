"""Passwords in texts that people get to see."""

import pytest

from tailrace.redact import redact, redacted_field


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://app:pass@host:5432/shop", "postgresql://app:***@host:5432/shop"),
        ("postgresql://app:p@ss/w:rd@host/shop", "postgresql://app:***@host/shop"),
        ("postgresql://app:@host/shop", "postgresql://app:***@host/shop"),
        ("postgresql://app@host:5432/shop", "postgresql://app@host:5432/shop"),
        (
            "postgresql:///shop?user=a&password=p&sslmode=on",
            "postgresql:///shop?user=a&password=***&sslmode=on",
        ),
        ("host=h password=p%20 dbname=d", "host=h password=*** dbname=d"),
        ("host=h password='a b c' dbname=d", "host=h password=*** dbname=d"),
        ('required username="u" password="a b,c";', 'required username="u" password=***;'),
        ("sslpassword = x", "sslpassword = ***"),
        ("Set it (export PGPASSWORD=…), or …", "Set it (export PGPASSWORD=…), or …"),
        ("password=…x", "password=***"),
        (r"password='a\'b c' dbname=d", "password=*** dbname=d"),
        ("PASSWORD = 'a''b' REQUIRE SSL", "PASSWORD = *** REQUIRE SSL"),
        ("password='never ends", "password=*** ends"),
        ("{'user': 'a', 'password': 'b c', 'x': 1}", "{'user': 'a', 'password': ***, 'x': 1}"),
        ('{"sasl.password":"a\\"b","x":1}', '{"sasl.password":***,"x":1}'),
        ('{"token": 12}', '{"token": ***}'),
        ("Write password: ${MYSQL_PWD} beside it", "Write password: ${MYSQL_PWD} beside it"),
        ("postgresql://app:pass word@host/shop", "postgresql://app:***@host/shop"),
        ("at 'a://b:c d  e@f' in line 3", "at 'a://b:***@f' in line 3"),
        ("a://b:c:e f@g h://i:j k@l", "a://b:***@g h://i:***@l"),
        ("two: a://b:c@d and a://b:e@f", "two: a://b:***@d and a://b:***@f"),
        ("nothing to hide at 12:30 by me@home", "nothing to hide at 12:30 by me@home"),
    ],
)
def test_redact(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("password", "gehe1m", "***"),
        ("sasl.jaas.PASSWORD", 7, "***"),
        ("old_token", ["a"], "***"),
        ("password", None, None),
        ("has_secret", True, True),
        ("password_file", "/run/secrets/x", "/run/secrets/x"),
        ("tokens", 7, 7),
        ("user", "app", "app"),
    ],
)
def test_a_value_whose_name_says_what_it_is(name: str, value: object, shown: object) -> None:
    assert redacted_field(name, value) == shown
