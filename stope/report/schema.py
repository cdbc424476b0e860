"""The JSON Schema of the ``json`` export, from the models themselves.

``python -m stope.report.schema FILE`` writes it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from stope.report.document import EXPORT_SCHEMA, Document


def export_schema() -> str:
    """The schema as indented JSON, ending with a line break."""
    schema = Document.model_json_schema(mode="serialization")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Stope export ({EXPORT_SCHEMA})",
    }
    return json.dumps(head | {k: v for k, v in schema.items() if k != "title"}, indent=2) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(export_schema(), encoding="utf-8")
