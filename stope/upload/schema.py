"""The JSON Schema of what goes to an HTTP endpoint and comes back, from the models themselves.

``python -m stope.upload.schema FILE`` writes it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pydantic.json_schema import models_json_schema

from stope.models.delivery import DELIVERY_SCHEMA, Delivery, KeptItems, Question, Receipts


def delivery_schema() -> str:
    """The schema as indented JSON, ending with a line break; it describes a delivery."""
    models = (Delivery, Receipts, Question, KeptItems)
    _, schema = models_json_schema([(model, "validation") for model in models])
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Stope delivery ({DELIVERY_SCHEMA})",
        "description": "Deliveries, and (under $defs) the receipts that answer them, the questions "
        "that are asked when they are verified, and what answers those.",
        "$ref": "#/$defs/Delivery",
    }
    return json.dumps(head | schema, indent=2) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(delivery_schema(), encoding="utf-8")
