"""Secrets in files."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from tailrace.errors import NotReady
from tailrace.secrets import SecretFile, reveal


@pytest.mark.parametrize(
    ("content", "secret"),
    [(b"geheim", "geheim"), (b"geheim\n", "geheim"), (b"geheim\r\n", "geheim"), (b" \xc3\xbc \n\n", " ü \n")],
)
def test_the_file_holds_the_secret(tmp_path: Path, content: bytes, secret: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert reveal(SecretFile(file=tmp_path / "secret")) == secret


def test_it_is_read_each_time(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    secret = SecretFile(file=file)
    for content in ("one", "two"):
        file.write_text(content)
        assert reveal(secret) == content


def test_what_is_no_file() -> None:
    assert reveal("geheim") == reveal(SecretStr("geheim")) == "geheim"


@pytest.mark.parametrize(
    ("content", "found"), [(b"", "it is empty"), (b"\n", "it is empty"), (b"\xff", "it is not UTF-8")]
)
def test_a_file_that_is_no_secret(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(NotReady, match=found) as refused:
        reveal(SecretFile(file=tmp_path / "secret"))
    assert refused.value.code.id == "TR-CONF-016"
    assert str(tmp_path / "secret") in refused.value.found


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, found in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(NotReady, match=found):
            reveal(SecretFile(file=path))


def test_the_path_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/app")
    assert SecretFile(file=Path("~/secret")).file == Path("/home/app/secret")
    with pytest.raises(ValidationError, match="begins with / or ~"):
        SecretFile(file=Path("secret"))


@pytest.mark.parametrize("path", ["~no_such_user/secret", "/run/secrets/a\0b"])
def test_a_path_that_leads_nowhere_is_refused_with_the_file(path: str) -> None:
    with pytest.raises(ValidationError, match=r"is no folder that is known|holds a zero"):
        SecretFile(file=Path(path))
