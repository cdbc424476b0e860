"""S3, and what speaks its protocol. Credentials, region and endpoint come from AWS's usual places.

Those are, first to last: the environment (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``,
``AWS_SESSION_TOKEN``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``), the shared files
(``~/.aws/credentials`` and ``~/.aws/config`` with ``AWS_PROFILE``), and what a machine in the cloud
says of itself (web identity, container, instance).
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from stope.errors import StopeError, UsageError
from stope.objects import faults
from stope.objects.address import Address, without_secrets
from stope.objects.obstore_store import ObstoreStore
from stope.objects.patience import Patience

if TYPE_CHECKING:
    from obstore.store import S3Config

_STATUS = re.compile(r"\bstatus(?: code)?:? (\d{3})")
_CODE = re.compile(r"<Code>\s*(\w+)\s*</Code>")
_RIGHTS = (
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and their rights on the "
    "bucket (read, write, list, delete)"
)
_NO_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for a profile of "
    "~/.aws/credentials"
)
_CLOUD_CREDENTIALS = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_INSTANCE_SERVICE = "http://169.254.169.254"
_DEFAULT_REGION = "us-east-1"


def open_s3(address: Address, patience: Patience) -> ObstoreStore:
    """The store behind an ``s3://`` address. Reaches for nothing yet.

    Raises:
        UsageError: the endpoint or the named profile cannot be used.
    """
    env = os.environ
    endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL")
    config: S3Config = {"region": env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or ""}
    shared = _shared_config(env)
    if not config["region"]:
        config["region"] = shared.get("region", _DEFAULT_REGION)
    config["virtual_hosted_style_request"] = endpoint is None
    if endpoint is not None:
        config["endpoint"] = _checked(endpoint)
    if not _has_credentials(env) and "aws_access_key_id" in shared:
        config["access_key_id"] = shared["aws_access_key_id"]
        config["secret_access_key"] = shared.get("aws_secret_access_key", "")
        if token := shared.get("aws_session_token"):
            config["session_token"] = token
    store = S3Store(
        address.bucket,
        prefix=address.prefix or None,
        config=config,
        client_options={
            "allow_http": endpoint is not None and endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=patience.connect),
            "timeout": timedelta(seconds=patience.request),
        },
        # A part that fails is sent again by itself; the rest is ours, see Patience.
        retry_config={
            "max_retries": 1,
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=1),
                "base": 2,
            },
            "retry_timeout": timedelta(seconds=patience.request),
        },
    )
    has_credentials = _has_credentials(env) or "access_key_id" in config
    asked = env.get("AWS_METADATA_ENDPOINT") or _INSTANCE_SERVICE
    explain = partial(_explained, address, None if has_credentials else asked.rstrip("/"))

    def check_place() -> None:
        try:
            next(iter(obstore.list(store, chunk_size=1)), None)
        except (OSError, BaseError) as error:
            raise explain(str(error)) from None

    return ObstoreStore(address.url, lambda: store, explain=explain, check_place=check_place)


def _explained(address: Address, asked: str | None, text: str) -> StopeError:
    """The error behind a text of obstore's, which holds the server's answer.

    Args:
        address: the store's.
        asked: who is asked for credentials where none are set; None where some are.
        text: what obstore says.
    """
    statuses, codes = _STATUS.findall(text), _CODE.findall(text)
    code = codes[-1] if codes else ""
    if asked is not None and asked in text:
        return faults.refused(address.url, "no credentials", _NO_CREDENTIALS)
    if code == "NoSuchBucket" or (statuses and statuses[-1] == "404"):
        return faults.no_bucket(address.url, "s3", address.bucket)
    if not statuses:
        if "redirect without LOCATION" in text:
            return faults.refused(address.url, "another region", "set AWS_REGION to the bucket's")
        return faults.unavailable(address.url, _why(text))
    rights = _RIGHTS if asked is None else _NO_CREDENTIALS
    return faults.answered(address.url, int(statuses[-1]), code, rights)


def _why(text: str) -> str:
    lower = text.lower()
    if "timed out" in lower or "timeout" in lower.replace("retry_timeout", ""):
        return "no answer in time"
    if "dns" in lower:
        return "its host's name is not known"
    if "refused" in lower:
        return "connection refused"
    return "the connection failed"


def _checked(endpoint: str) -> str:
    parsed = urlsplit(endpoint)
    if parsed.scheme not in ("http", "https") or not parsed.hostname or parsed.username:
        raise UsageError(
            f"AWS_ENDPOINT_URL is {without_secrets(endpoint)!r}; write https://host or "
            "http://host:port, without credentials."
        )
    return endpoint.rstrip("/")


def _has_credentials(env: Mapping[str, str]) -> bool:
    return bool(env.get("AWS_ACCESS_KEY_ID")) or any(env.get(name) for name in _CLOUD_CREDENTIALS)


def _shared_config(env: Mapping[str, str]) -> dict[str, str]:
    """What the shared files say of the profile; {} where there are none.

    Raises:
        UsageError: a profile is asked for by name, and there is none.
    """
    profile = env.get("AWS_PROFILE") or "default"
    credentials = Path(env.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()
    settings = Path(env.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()
    section = profile if profile == "default" else f"profile {profile}"
    found = {**_section(settings, section), **_section(credentials, profile)}
    if env.get("AWS_PROFILE") and not found and not _has_credentials(env):
        raise UsageError(
            f"AWS_PROFILE is {profile!r}, but neither {credentials} nor {settings} has such a "
            "profile; correct the name, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    return found


def _section(file: Path, name: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
    except (OSError, UnicodeDecodeError, configparser.Error):
        # The text of such an error repeats the line, which may be a key.
        raise UsageError(
            f"{file} cannot be read as an AWS file; mend it, or set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY."
        ) from None
    return dict(parser[name]) if parser.has_section(name) else {}
