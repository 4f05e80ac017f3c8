from pathlib import Path

from services.prediction.processes.place import Place, part_of
from services.prediction.settings import Settings

MIB = 2**20


def test_each_has_its_part_of_the_memory_and_the_ports_of_all() -> None:
    settings = Settings(processes=4, port=0, rest_port=0, max_pending_bytes=8 * MIB, memory_max_bytes=10)
    part = part_of(settings, port=5001, rest_port=5000)
    assert (part.port, part.rest_port, part.max_pending_bytes, part.memory_max_bytes) == (5001, 5000, 2 * MIB, 3)
    assert part.threads >= 1
    assert Settings.model_validate_json(part.model_dump_json()) == part


def test_what_is_given_for_each_operator_or_without_limit_stays() -> None:
    part = part_of(Settings(processes=2, threads=3, max_pending_bytes=MIB), 1, 2)
    assert (part.threads, part.max_pending_bytes, part.memory_max_bytes) == (3, MIB, 0)


def test_a_place_outlasts_its_way_to_the_process() -> None:
    place = Place(number=1, processes=3, parent=7, folder=Path("/run/it"), again=True)
    assert Place.model_validate_json(place.model_dump_json()) == place
    assert place.others == [0, 2]
    assert place.door(2) == "unix:/run/it/2.grpc"
