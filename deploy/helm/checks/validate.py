"""Checks manifests against the strict schemas of Kubernetes versions: unknown fields are errors.

Run by the interpreter of `.venv/deploy-tools`, which has `kubernetes_validate`:
`python validate.py CRD_DIRECTORY VERSIONS MANIFESTS...`
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml


def main(crds: Path, versions: list[str], files: list[Path]) -> int:
    problems = 0
    checked = 0
    seen: set[str] = set()
    for file in files:
        for document in yaml.safe_load_all(file.read_text()):
            text = json.dumps(document, sort_keys=True)
            if document is None or text in seen:
                continue
            seen.add(text)
            name = f"{file.name}: {document['kind']} {document['metadata']['name']}"
            for version in versions:
                checked += 1
                problem = _problem(document, version, crds)
                if problem is not None:
                    problems += 1
                    print(f"{name}: Kubernetes {version}: {problem}")
    print(f"{len(seen)} different manifests, {checked} validations, {problems} problems")
    return 1 if problems else 0


def _problem(document: dict[str, Any], version: str, crds: Path) -> str | None:
    group, _, api_version = document["apiVersion"].rpartition("/")
    custom = crds / f"{document['kind'].lower()}_{api_version}.json"
    try:
        if "." in group and not group.endswith(".k8s.io") or custom.exists():
            jsonschema.validate(document, json.loads(custom.read_text()))
        else:
            kubernetes_validate.validate(document, version, strict=True)
    except FileNotFoundError:
        return f"no schema for {document['apiVersion']} {document['kind']}"
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
        path = ".".join(str(part) for part in getattr(error, "path", ()))
        return f"{path}: {getattr(error, 'message', error)}"
    except (kubernetes_validate.InvalidSchemaError, kubernetes_validate.SchemaNotFoundError) as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2].split(","), [Path(name) for name in sys.argv[3:]]))
