from pathlib import Path

import pytest

from services.prediction.authorization import RIGHTS, SERVICE, check, read_tokens, required_right
from services.prediction.errors import AccessDeniedError, InvalidSettingsError, UnauthenticatedError
from services.prediction.pb import open_inference_pb2 as pb

TOKENS = {"alpha": "infer", "omega": "admin"}


def test_every_method_of_the_service_has_its_right() -> None:
    methods = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    assert {f"/{SERVICE}/{method.name}" for method in methods} == set(RIGHTS)


def test_methods_without_a_right_of_their_own_need_admin_and_health_needs_none() -> None:
    assert required_right(f"/{SERVICE}/NewMethod") == "admin"
    assert required_right(f"/{SERVICE}/ServerLive") is None
    assert required_right("/grpc.health.v1.Health/Check") is None


def test_admin_includes_infer() -> None:
    check({"alpha": "infer"}, "infer", "Bearer alpha")
    check({"omega": "admin"}, "infer", "bearer omega")
    check({"omega": "admin"}, "admin", "Bearer omega")


@pytest.mark.parametrize(
    "header", ["", "alpha", "Bearer", "Bearer other", "Basic alpha", "Bearer alpha beta", "Bearer ö"]
)
def test_a_wrong_header_is_refused(header: str) -> None:
    with pytest.raises(UnauthenticatedError):
        check({"alpha": "infer"}, "infer", header)


def test_a_right_that_is_missing_is_named() -> None:
    with pytest.raises(AccessDeniedError) as refusal:
        check({"alpha": "infer"}, "admin", "Bearer alpha")
    assert refusal.value.right == "admin"


def test_tokens_are_read_from_lines(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("# people\n\ninfer alpha\nadmin   omega\n")
    assert read_tokens(file) == TOKENS


@pytest.mark.parametrize("text", ["", "# none\n", "infer\n", "root s3cret\n", "infer s3cret more\n", "s3cret\n"])
def test_a_wrong_tokens_file_is_refused_without_repeating_a_token(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(InvalidSettingsError) as refusal:
        read_tokens(file)
    assert "s3cret" not in str(refusal.value)


def test_a_missing_tokens_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingsError, match="expected a readable text file"):
        read_tokens(tmp_path / "none")
