from pathlib import Path

import pytest

from services.rpc.authorization import Policy, check, read_tokens
from services.rpc.errors import AccessDeniedError, InvalidSettingsError, UnauthenticatedError

POLICY = Policy("shop.Till", "look", "sell", frozenset({"Open"}), frozenset({"Price"}))
TOKENS = {"alpha": "look", "omega": "sell"}


def test_a_method_needs_what_the_policy_says_and_else_the_higher_right() -> None:
    assert POLICY.required("/shop.Till/Open") is None
    assert POLICY.required("/shop.Till/Price") == "look"
    assert POLICY.required("/shop.Till/NewMethod") == "sell"
    assert POLICY.required("/grpc.health.v1.Health/Check") is None


def test_the_higher_right_includes_the_lower() -> None:
    check(POLICY, TOKENS, "look", "Bearer alpha")
    check(POLICY, TOKENS, "look", "bearer omega")
    check(POLICY, TOKENS, "sell", "Bearer omega")


@pytest.mark.parametrize(
    "header", ["", "alpha", "Bearer", "Bearer other", "Basic alpha", "Bearer alpha beta", "Bearer ö"]
)
def test_a_wrong_header_is_refused(header: str) -> None:
    with pytest.raises(UnauthenticatedError):
        check(POLICY, TOKENS, "look", header)


def test_a_right_that_is_missing_is_named() -> None:
    with pytest.raises(AccessDeniedError) as refusal:
        check(POLICY, TOKENS, "sell", "Bearer alpha")
    assert refusal.value.right == "sell"


def test_tokens_are_read_from_lines(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("# people\n\nlook alpha\nsell   omega\n")
    assert read_tokens(file, POLICY) == TOKENS
    assert read_tokens(None, POLICY) == {}


@pytest.mark.parametrize("text", ["", "# none\n", "look\n", "root s3cret\n", "look s3cret more\n", "s3cret\n"])
def test_a_wrong_tokens_file_is_refused_without_repeating_a_token(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(InvalidSettingsError) as refusal:
        read_tokens(file, POLICY)
    assert "s3cret" not in str(refusal.value)


def test_a_missing_tokens_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingsError, match="expected a readable text file"):
        read_tokens(tmp_path / "none", POLICY)
