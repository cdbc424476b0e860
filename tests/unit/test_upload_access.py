"""Secrets go where they are meant to go: whoever names a host in a job does not get a password.

And a way that anybody can listen to is not taken unless the URL says so.
"""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from stope.errors import DestinationRefusedError
from stope.settings import Settings
from stope.upload.access import (
    SSL_MODES,
    database_password,
    encryption,
    is_here,
    is_loopback,
)
from stope.upload.places import check_access, open_destination

HUSH = "hush-hush"
EVIL = "postgresql://ann@evil.example/news?schema=stope"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of whoever runs the tests."""
    for name in ("PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def settings_with(hosts: str = "", password: str | None = HUSH) -> Settings:
    secret = SecretStr(password) if password else None
    return Settings(upload_password=secret, upload_hosts=hosts)


def password_for(host: str, hosts: str) -> str | None:
    return database_password(f"postgresql://ann@{host}/news?schema=stope", settings_with(hosts))


@pytest.mark.parametrize("hosts", ["", "db.example", "evil.example.org", "vil.example", "*", ","])
@pytest.mark.parametrize("variable", ["STOPE_UPLOAD_PASSWORD", "PGPASSWORD"])
def test_a_password_is_not_for_a_host_that_nobody_named(
    monkeypatch: pytest.MonkeyPatch, hosts: str, variable: str
) -> None:
    monkeypatch.setenv("PGPASSWORD", HUSH)
    settings = settings_with(hosts, HUSH if variable == "STOPE_UPLOAD_PASSWORD" else None)
    with pytest.raises(
        DestinationRefusedError, match=r"STOPE_UPLOAD_HOSTS=evil\.example"
    ) as caught:
        open_destination(EVIL, settings)
    assert variable in str(caught.value)
    assert HUSH not in str(caught.value)


def test_named_hosts_and_this_machine_get_it() -> None:
    assert password_for("db.example", "other.example, DB.example") == HUSH
    assert password_for("DB.example:5433", "db.example") == HUSH
    assert password_for("db.example:5433", "db.example:5433") == HUSH
    with pytest.raises(DestinationRefusedError, match=r"db\.example"):
        password_for("db.example:5434", "db.example:5433")
    for host in ("127.0.0.1", "localhost:5433", "[::1]"):
        assert password_for(host, "") == HUSH
    socket = "postgresql:///news?host=/run/postgresql&schema=stope"
    assert database_password(socket, settings_with()) == HUSH


async def test_without_one_the_password_file_is_left_to_say_it() -> None:
    assert database_password(EVIL, settings_with(password=None)) is None
    await check_access(EVIL, settings_with(password=None))


async def test_what_is_missing_is_said_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(DestinationRefusedError, match="STOPE_UPLOAD_HMAC_KEY"):
        await check_access("https://host.example/in", settings_with())
    with pytest.raises(DestinationRefusedError, match="STOPE_UPLOAD_HOSTS"):
        await check_access(EVIL, settings_with())
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(DestinationRefusedError, match="its extra `postgresql`"):
        await check_access(EVIL, settings_with("evil.example"))


def test_off_this_machine_the_server_proves_who_it_is_unless_the_worker_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for url in (EVIL, *(f"{EVIL}&sslmode={mode}" for mode in SSL_MODES)):
        checks = encryption(url)
        assert isinstance(checks, ssl.SSLContext)
        assert checks.check_hostname
        assert checks.verify_mode is ssl.CERT_REQUIRED
    here = "postgresql://ann@127.0.0.1/news?schema=stope"
    assert encryption(here) == "prefer"
    assert encryption(f"{here}&sslmode=disable") == "disable"
    assert encryption("postgresql:///news?host=/run/postgresql") == "prefer"
    # Whoever has named authorities for PostgreSQL means those.
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").write_text("")
    assert encryption(EVIL) == "verify-full"
    monkeypatch.setenv("PGSSLMODE", "verify-ca")
    assert encryption(EVIL) == "verify-ca"
    assert encryption(f"{EVIL}&sslmode=disable") == "verify-ca"
    assert encryption(f"{EVIL}&sslmode=verify-full") == "verify-full"
    monkeypatch.setenv("PGSSLMODE", "prefer")
    assert encryption(f"{EVIL}&sslmode=allow") == "prefer"
    assert encryption(f"{EVIL}&sslmode=require") == "require"


def test_only_this_machine_is_here() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "localhost", "::1", "[::1]")))
    assert not any(map(is_loopback, ("127.evil.example", "10.0.0.1", "", "localhost.evil.example")))
    assert is_here("postgresql:///news?host=/run/postgresql")
    assert not is_here(EVIL)
