"""No secret of an address is shown or stored, and a store without credentials is refused at once, in one line."""

import json

import pytest

from text_uda.errors import SettingsError
from translation_cache import Cache, CacheError
from translation_cache.credentials import without_secrets
from translation_cache.storage import ObjectStorage

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz012345"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"s3://AKIA:{SECRET}@bucket/folder", "s3://***@bucket/folder"),
        (f"cannot read abfs://container:{SECRET}@account/x: no", "cannot read abfs://***@account/x: no"),
        ("proxy http://me:pass@proxy.example:3128 refuses", "proxy http://***@proxy.example:3128 refuses"),
        ("proxy http://me:p@ss@w@proxy.example:3128 refuses", "proxy http://***@proxy.example:3128 refuses"),
        (f"https://{TOKEN}@hub.example/x", "https://***@hub.example/x"),
        ("abfs://c@a/x?sv=2024&sig=a%2Bb%3D&se=1", "abfs://c@a/x?sv=2024&sig=***&se=1"),
        ("s3://b/x?X-Amz-Signature=ab12&X-Amz-Credential=AKIA", "s3://b/x?X-Amz-Signature=***&X-Amz-Credential=***"),
        (f"cannot open s3://b/x?token={SECRET}: unknown", "cannot open s3://b/x?token=***: unknown"),
        ("AccountName=a;AccountKey=abc==;Suffix=x", "AccountName=a;AccountKey=***;Suffix=x"),
        (f"the token {TOKEN} is not valid", "the token hf_*** is not valid"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer ***"),
        ("{'Authorization': 'Basic dXNlcjpwYXNz'}", "{'Authorization': 'Basic ***'}"),
        ("proxy-authorization: token abc, Accept: x", "proxy-authorization: token ***"),
        (f"sent Bearer {SECRET}0 to the store", "sent Bearer *** to the store"),
        ("sent Basic dXNlcjpwYXNz to", "sent Basic *** to"),
        ("sent basic dTpw.", "sent basic ***"),
        ("sent Bearer aaaabbbbccccddddeeeeffff to", "sent Bearer *** to"),
        ("sent Bearer sesameOpen, Bearer a1", "sent Bearer ***, Bearer ***"),
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host, Signature=dead\nrefused",
            "Authorization: AWS4-HMAC-SHA256 ***\nrefused",
        ),
        ('Authorization: Token token="s3cr3t", nonce="x"', "Authorization: Token ***"),
        ("{'Authorization': 'Token token=\"s3cr3t\"', 'Accept': 'x'}", "{'Authorization': 'Token ***', 'Accept': 'x'}"),
        (r'{"Authorization": "Token token=\"s3cr3t\"", "a": 1}', '{"Authorization": "Token ***", "a": 1}'),
        (r'"{\"Authorization\": \"Digest a, b\", \"a\": 1}"', r'"{\"Authorization\": \"Digest ***\", \"a\": 1}"'),
        ("b'authorization': b'opensesame and more'", "b'authorization': b'***'"),
    ],
)
def test_secrets_are_hidden(text, shown):
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown
    assert str(CacheError(text)) == str(SettingsError(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/folder?endpoint_override=http://host:9000&region=eu-1",
        "http://localhost:9000/user@home",
        "gs://anonymous@bucket/folder",
        "abfs://container@account.dfs.core.windows.net/folder",
        "s3://bucket/me@home/cache",
        "precision='x': choose one of float32, pad_token=5, max_tokens=1",
        "a text: see http://example.org/a:b or mail me@example.org",
        "/home/me/hf_home/key=value",
        "models/hf_distilbertbaseuncased/model",
        "label 'Basic English-lessons' (row 3) is none of the classes",
        "Bearer certificates, Basic understanding-of-mathematics",
        "Basic English, Bearer of news, bearer of the Anti-Fraud Bearer Certificates",
        "authorization of the user is needed",
    ],
)
def test_other_texts_stay(text):
    assert without_secrets(text) == text


def test_an_address_is_shown_without_its_secret_and_handed_on_with_it():
    from pyarrow import fs

    uri = f"abfs://container:{SECRET}@account/folder"
    storage = ObjectStorage(fs.LocalFileSystem(), "container/folder", uri)
    assert storage.root == "abfs://***@account/folder" and storage.address == uri
    assert SECRET not in storage.at("x.parquet")


def test_keys_in_the_address_of_s3_are_refused():
    with pytest.raises(CacheError, match="takes no keys") as error:
        Cache(f"s3://AKIA:{SECRET}@bucket/folder")
    assert SECRET not in str(error.value)


def test_a_hidden_secret_is_no_address():
    with pytest.raises(CacheError, match="give the address anew"):
        Cache("abfs://***@account/folder")


@pytest.mark.parametrize("uri", ["abfs://container@account.dfs.core.windows.net/x", "abfss://c@a/x"])
def test_azure_without_credentials_is_one_line(uri, monkeypatch, tmp_path):
    for name in ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(CacheError, match=r"no Azure credentials: run `az login`, or set") as error:
        Cache(uri)
    assert "\n" not in str(error.value)


def test_an_error_of_arrow_is_one_line():
    """Azure's failed sign-in is an ArrowException, which is no OSError."""
    import pyarrow as pa

    class Failing:
        type_name = "abfs"

        def get_file_info(self, _):
            raise pa.ArrowException("Unknown error: Failed to get token from DefaultAzureCredential.\nSee ...")

    storage = ObjectStorage(Failing(), "container/x", "abfs://c@a/x")  # pyright: ignore[reportArgumentType]
    with pytest.raises(CacheError, match="cannot read abfs://c@a/x: Azure takes none of the credentials") as error:
        storage.files()
    assert "\n" not in str(error.value)


def test_a_configuration_holds_no_secret():
    import click
    from click.testing import CliRunner

    from text_uda.cli.config_file import given_options

    @click.command()
    @click.option("--cache")
    def verb(cache: str) -> None:
        click.echo(json.dumps(given_options()["options"]))

    result = CliRunner().invoke(verb, ["--cache", f"abfs://c:{SECRET}@a/x"])
    assert json.loads(result.stdout) == {"cache": "abfs://***@a/x"}
