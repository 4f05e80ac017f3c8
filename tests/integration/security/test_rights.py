"""Every method of both services, asked without a token, with a wrong one, with the lower right and with the higher."""

import grpc
import pytest

from services.prediction.pb import open_inference_pb2
from services.rpc.credentials import token_line
from services.training.pb import training_pb2
from tests.integration.security.hosts import Code, TokensFile, hosting, open_channel, status_of

RIGHTS = {"prediction": ("infer", "admin"), "training": ("read", "submit")}

METHODS: dict[str, dict[str, str | None]] = {
    "prediction": {
        "inference.GRPCInferenceService/ServerLive": None,
        "inference.GRPCInferenceService/ServerReady": None,
        "inference.GRPCInferenceService/ServerMetadata": "infer",
        "inference.GRPCInferenceService/ModelReady": "infer",
        "inference.GRPCInferenceService/ModelMetadata": "infer",
        "inference.GRPCInferenceService/ModelInfer": "infer",
        "inference.GRPCInferenceService/RepositoryIndex": "infer",
        "inference.GRPCInferenceService/ModelStreamInfer": "infer",
        "inference.GRPCInferenceService/ModelConfig": "infer",
        "inference.GRPCInferenceService/ModelStatistics": "infer",
        "inference.GRPCInferenceService/RepositoryModelLoad": "admin",
        "inference.GRPCInferenceService/RepositoryModelUnload": "admin",
    },
    "training": {
        "drivetrain.training.v1.TrainingService/ValidateSpec": "read",
        "drivetrain.training.v1.TrainingService/SubmitTraining": "submit",
        "drivetrain.training.v1.TrainingService/GetJob": "read",
        "drivetrain.training.v1.TrainingService/ListJobs": "read",
        "drivetrain.training.v1.TrainingService/WatchJob": "read",
        "drivetrain.training.v1.TrainingService/CancelJob": "submit",
        "drivetrain.training.v1.TrainingService/ResumeJob": "submit",
        "drivetrain.training.v1.TrainingService/UploadDataset": "submit",
        "drivetrain.training.v1.TrainingService/GetDataset": "read",
        "drivetrain.training.v1.TrainingService/GetStatus": "read",
    },
}
"""The right that each needs, said here a second time: a new method must be given one on purpose."""

HEALTH: dict[str, str | None] = {"grpc.health.v1.Health/Check": None, "grpc.health.v1.Health/Watch": None}
REFLECTION = "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

REFUSALS = (Code.UNAUTHENTICATED, Code.PERMISSION_DENIED)


def table(service: str) -> dict[str, str | None]:
    return METHODS[service] | HEALTH | {REFLECTION: RIGHTS[service][0]}


def refusal(service: str, required: str | None, caller: str) -> grpc.StatusCode | None:
    """What a caller must hear; None where the call gets through, to whatever it is answered then."""
    if required is None or caller == "higher":
        return None
    if caller in ("nobody", "wrong"):
        return Code.UNAUTHENTICATED
    return Code.PERMISSION_DENIED if required == RIGHTS[service][1] else None


@pytest.mark.parametrize("service", METHODS)
def test_the_table_has_every_method(service: str) -> None:
    descriptors = {"prediction": open_inference_pb2.DESCRIPTOR, "training": training_pb2.DESCRIPTOR}
    defined = {
        f"{each.full_name}/{method.name}"
        for each in descriptors[service].services_by_name.values()
        for method in each.methods
    }
    assert METHODS[service].keys() == defined


@pytest.mark.parametrize("form", ["plain", "hashed"])
@pytest.mark.parametrize("service", METHODS)
async def test_every_method_is_open_to_those_with_its_right_alone(service: str, form: str, tokens: TokensFile) -> None:
    held = dict(zip(("lower", "higher"), RIGHTS[service], strict=True))
    lines = [token_line(right, name) if form == "hashed" else f"{right} {name}" for name, right in held.items()]
    tokens.write(*lines)
    callers = {"nobody": "", "wrong": "someone", "lower": "lower", "higher": "higher"}
    async with hosting(service, tokens_file=tokens.path) as address, open_channel(address) as channel:
        heard = {
            (method, caller): await status_of(channel, f"/{method}", token)
            for method in table(service)
            for caller, token in callers.items()
        }
    assert {case: status if status in REFUSALS else None for case, status in heard.items()} == {
        (method, caller): refusal(service, required, caller)
        for method, required in table(service).items()
        for caller in callers
    }
    assert not {Code.INTERNAL, Code.UNIMPLEMENTED, Code.UNKNOWN} & set(heard.values()), heard


@pytest.mark.parametrize("service", METHODS)
async def test_without_tokens_every_method_is_open(service: str) -> None:
    async with hosting(service) as address, open_channel(address) as channel:
        heard = {method: await status_of(channel, f"/{method}") for method in table(service)}
    assert not {*REFUSALS, Code.INTERNAL, Code.UNIMPLEMENTED, Code.UNKNOWN} & set(heard.values()), heard


async def test_a_method_that_does_not_exist_is_no_way_in(tokens: TokensFile) -> None:
    tokens.write("admin somebody")
    async with hosting("prediction", tokens_file=tokens.path) as address, open_channel(address) as channel:
        for method in ("/inference.GRPCInferenceService/Shutdown", "/no.Service/Method"):
            assert await status_of(channel, method, "somebody") is Code.UNIMPLEMENTED
