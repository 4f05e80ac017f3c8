import pytest

from services.rpc.channels import is_address, is_token, is_unreached


@pytest.mark.parametrize("text", ["localhost:8001", "10.0.0.1:1", "[::1]:8001", "prediction.example.com:65535"])
def test_an_address_is_a_host_and_a_port(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize("text", ["", "localhost", ":8001", "localhost:", "http://localhost:8001", "localhost:123456"])
def test_anything_else_is_none(text: str) -> None:
    assert not is_address(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("a1-_~!", True), ("", False), ("a b", False), ("ä", False), ("a\n", False)]
)
def test_a_token_is_one_word_that_a_header_can_carry(text: str, *, expected: bool) -> None:
    assert is_token(text) is expected


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ("failed to connect to all addresses; last error: UNKNOWN: Connection refused", True),
        ("DNS resolution failed for nohost:1", True),
        ("the server is stopping", False),
        ("Socket closed", False),
    ],
)
def test_nobody_there_is_told_from_somebody_who_cannot_answer(details: str, *, expected: bool) -> None:
    assert is_unreached(details) is expected
