import pytest
from pydantic import ValidationError

from services.prediction.settings import Settings


def test_the_defaults_are_tritons_ports_on_this_machine_only() -> None:
    settings = Settings()
    assert (settings.host, settings.port, settings.metrics_port, settings.threads) == ("127.0.0.1", 8001, 8002, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", -1),
        ("metrics_port", 65536),
        ("threads", -1),
        ("poll_interval_s", 0),
        ("max_batch_size", 0),
        ("host", ""),
    ],
)
def test_values_out_of_range_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Settings.model_validate({field: value})


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="extra"):
        Settings.model_validate({"prot": 1})


def test_one_port_cannot_serve_both() -> None:
    with pytest.raises(ValidationError, match="metrics_port: expected another port than port, came 9000"):
        Settings(port=9000, metrics_port=9000)
    assert Settings(port=0, metrics_port=0).port == 0


def test_rest_has_a_port_of_its_own() -> None:
    for port in ("port", "metrics_port"):
        with pytest.raises(
            ValidationError, match="rest_port: expected another port than port and metrics_port, came 900"
        ):
            Settings.model_validate({port: 900, "rest_port": 900})
        assert not Settings.model_validate({port: 900, "rest_port": 900, "rest": False}).rest
    assert Settings().rest_port == 8000
