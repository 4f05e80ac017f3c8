from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.servicer import POLICY


def test_every_method_of_the_service_has_its_right() -> None:
    methods = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    rights = {method.name: POLICY.required(f"/{POLICY.service}/{method.name}") for method in methods}
    assert rights == {
        "ServerLive": None,
        "ServerReady": None,
        "ServerMetadata": "infer",
        "ModelReady": "infer",
        "ModelMetadata": "infer",
        "ModelInfer": "infer",
        "ModelStreamInfer": "infer",
        "ModelConfig": "infer",
        "ModelStatistics": "infer",
        "RepositoryIndex": "infer",
        "RepositoryModelLoad": "admin",
        "RepositoryModelUnload": "admin",
    }
