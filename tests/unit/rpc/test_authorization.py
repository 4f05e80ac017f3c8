import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.rpc.authorization import Authorizer, Policy
from services.rpc.credentials import token_line
from services.rpc.errors import AccessDeniedError, InvalidSettingsError, UnauthenticatedError

POLICY = Policy("shop.Till", "look", "sell", frozenset({"Open"}), frozenset({"Price"}))
LINES = f"{token_line('look', 'alpha')}\nsell omega\nlook cn:Night Shift\nsell dns:shop.example.org\n"
OPEN, PRICE, SELL = "/shop.Till/Open", "/shop.Till/Price", "/shop.Till/Sell"
REFLECTION, HEALTH = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "/grpc.health.v1.Health/Check"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(LINES)
    return path


@pytest.fixture
def authorizer(file: Path) -> Authorizer:
    """Looks at its file whenever it is asked."""
    return Authorizer(POLICY, file, client_ca=file, look_interval_s=0)


def test_a_method_needs_what_the_policy_says_and_else_the_higher_right() -> None:
    assert POLICY.required(OPEN) is None
    assert POLICY.required(PRICE) == "look"
    assert POLICY.required("/shop.Till/NewMethod") == "sell"


def test_beside_the_service_health_alone_is_open(authorizer: Authorizer) -> None:
    assert POLICY.required(HEALTH) is None
    assert POLICY.required("/grpc.health.v1.Health/Watch") is None
    assert POLICY.required("/grpc.health.v1.HealthOfOthers/Check") == "look"
    assert POLICY.required(REFLECTION) == "look"
    assert [authorizer.guards(method) for method in (HEALTH, OPEN, PRICE, REFLECTION)] == [False, False, True, True]
    authorizer.check(HEALTH, "")
    with pytest.raises(UnauthenticatedError):
        authorizer.check(REFLECTION, "")


def test_without_a_file_everything_is_open() -> None:
    authorizer = Authorizer(POLICY, None)
    assert not authorizer.guards(SELL)
    authorizer.check(SELL, "")
    assert authorizer.rights("Bearer anything") == ("look", "sell")


def test_the_higher_right_includes_the_lower(authorizer: Authorizer) -> None:
    authorizer.check(PRICE, "Bearer alpha")
    authorizer.check(PRICE, "bearer omega")
    authorizer.check(SELL, "Bearer omega")
    assert authorizer.rights("Bearer alpha") == ("look",)
    assert authorizer.rights("Bearer omega") == ("look", "sell")


@pytest.mark.parametrize(
    "header", ["", "alpha", "Bearer", "Bearer other", "Basic alpha", "Bearer alpha beta", "Bearer ö"]
)
def test_a_wrong_header_is_refused(authorizer: Authorizer, header: str) -> None:
    with pytest.raises(UnauthenticatedError):
        authorizer.check(PRICE, header)


@settings(deadline=None)
@given(header=st.text(), identities=st.lists(st.text()))
def test_whatever_comes_is_refused_in_order(header: str, identities: list[str]) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "tokens"
        file.write_text(LINES)
        authorizer = Authorizer(POLICY, file, client_ca=file)
    with pytest.raises(UnauthenticatedError):
        authorizer.check(SELL, f"Bearer {header}", identities)
    with pytest.raises(UnauthenticatedError):
        authorizer.check(SELL, "", identities)


def test_the_hash_of_a_token_is_no_token(authorizer: Authorizer) -> None:
    line = LINES.split()[1]
    for header in (f"Bearer {line}", f"Bearer {line.removeprefix('sha256:')}"):
        with pytest.raises(UnauthenticatedError):
            authorizer.check(PRICE, header)


def test_a_right_that_is_missing_is_named(authorizer: Authorizer) -> None:
    with pytest.raises(AccessDeniedError) as refusal:
        authorizer.check(SELL, "Bearer alpha")
    assert refusal.value.right == "sell"


def test_a_certificate_has_the_highest_right_of_its_names(authorizer: Authorizer) -> None:
    authorizer.check(PRICE, "", ["cn:Night Shift"])
    authorizer.check(SELL, "", ["cn:Night Shift", "dns:other.example.org", "dns:shop.example.org"])
    with pytest.raises(AccessDeniedError):
        authorizer.check(SELL, "", ["cn:Night Shift"])
    for strange in ([], ["cn:Night"], ["uri:shop.example.org"], ["cn:shop.example.org"]):
        with pytest.raises(UnauthenticatedError):
            authorizer.check(PRICE, "", strange)


def test_a_token_that_is_given_counts_alone(authorizer: Authorizer) -> None:
    with pytest.raises(UnauthenticatedError):
        authorizer.check(PRICE, "Bearer other", ["dns:shop.example.org"])
    with pytest.raises(AccessDeniedError):
        authorizer.check(SELL, "Bearer alpha", ["dns:shop.example.org"])


def test_a_changed_file_is_read_again(authorizer: Authorizer, file: Path) -> None:
    file.write_text("sell fresh\n")
    authorizer.check(SELL, "Bearer fresh")
    with pytest.raises(UnauthenticatedError):
        authorizer.check(SELL, "Bearer omega")


def test_a_broken_file_leaves_the_tokens_as_they_were(
    authorizer: Authorizer, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text("sell\n")
    for _ in range(3):
        authorizer.check(SELL, "Bearer omega")
    file.unlink()
    authorizer.check(SELL, "Bearer omega")
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert "line 1: expected 'RIGHT sha256:HEX'" in errors[0]
    assert "expected a readable text file" in errors[1]
    file.write_text("sell fresh\n")
    authorizer.check(SELL, "Bearer fresh")


def test_tokens_in_plain_are_warned_of_once(
    authorizer: Authorizer, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text("sell fresh\n")
    authorizer.check(SELL, "Bearer fresh")
    Authorizer(POLICY, file)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1  # the fixture's own came before the test, and its second reading adds none
    assert "tokens in plain" in warnings[0]


def test_rights_of_certificates_that_nobody_asks_for_are_warned_of(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Authorizer(POLICY, file)
    assert "without tls_client_ca clients show none" in caplog.text


def test_a_file_that_is_wrong_from_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingsError, match="tokens_file"):
        Authorizer(POLICY, tmp_path / "none")
