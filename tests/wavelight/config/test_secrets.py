"""Secrets are refused where they would be recorded, and never said again."""

import pytest

from wavelight.config.secrets import check_no_secrets

KEY = "AKIA0123456789ABCDEF"


@pytest.fixture(autouse=True)
def a_key(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    monkeypatch.setenv("SHORT_TOKEN", "data")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token")


def config(value, option="urls"):
    return {"data": {"source": {"class_path": "x", "init_args": {option: value}}}}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("https://me:hunter2000@host/a.tar", "https://***@host/a.tar"),
        (["b.tar", "s3://me@host/a.tar"], "s3://***@host/a.tar"),
        (
            "https://host/a.tar?X-Amz-Date=1&X-Amz-Signature=f00d",
            "X-Amz-Date=1&X-Amz-Signature=***",
        ),
        ("https://host/a.tar?se=2027&sig=f00d%3D", "se=2027&sig=***"),
        ("https://host/a.tar?token=f00d", "token=***"),
        ("https://host/a.tar?api_key=f00d&x=1", "api_key=***&x=1"),
        ("https://host/a.tar?AWSAccessKeyId=f00d", "AWSAccessKeyId=***"),
        ("https://host/a.tar?X-Goog-Credential=f00d", "X-Goog-Credential=***"),
        (f"pipe:curl -H 'Authorization: {KEY}' https://host/a.tar", "Authorization: ***"),
    ],
)
def test_secrets_are_refused_without_being_said(value, shown):
    with pytest.raises(ValueError, match=r"data\.source\.urls.* must hold no password") as refused:
        check_no_secrets(config(value))
    said = str(refused.value)
    assert shown in said
    assert "WDS_NAME" in said
    assert not any(secret in said for secret in ("hunter2000", "f00d", KEY))


@pytest.mark.parametrize(
    "value",
    [
        "https://host/a-{000..099}.tar?x=1&size=3",
        "https://${LOGIN}@host/a.tar",
        "https://host/a.tar?sig=${SIGNATURE}",
        "photos/me@home/a.tar",
        "data",
        "/var/run/token",
        "runs/monkey=3",
        3,
        None,
        ["a.tar", "b.tar"],
    ],
)
def test_other_values_are_none(value):
    check_no_secrets(config(value))


def test_secrets_anywhere_in_a_configuration_are_found():
    with pytest.raises(ValueError, match=r"trainer\.logger\.0\.tags\.1 must hold no password"):
        check_no_secrets({"trainer": {"logger": [{"init_args": {"tags": ["a", f"key {KEY}"]}}]}})
