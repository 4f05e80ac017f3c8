"""One process of several, as the parent starts it: `python -m services.prediction.processes PLACE SETTINGS`."""

import sys

from services.prediction.command import run
from services.prediction.processes.place import Place
from services.prediction.processes.supervisor import die_with_parent
from services.prediction.settings import Settings

if __name__ == "__main__":
    place = Place.model_validate_json(sys.argv[1])
    if sys.platform == "linux":
        die_with_parent(place.parent)
    sys.exit(run(Settings.model_validate_json(sys.argv[2]), place))
