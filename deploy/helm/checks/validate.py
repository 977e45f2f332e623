"""Checks manifests against the strict schemas of Kubernetes versions: unknown fields are errors.

Run by the interpreter of `.venv/deploy-tools`, which has `kubernetes_validate`:
`python validate.py CRD_DIRECTORY VERSIONS MANIFESTS...`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
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
        for document in yaml.load_all(file.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            text = json.dumps(document, sort_keys=True)
            if document is None or text in seen:
                continue
            seen.add(text)
            for version, problem in _problems(document, versions, crds):
                checked += 1
                if problem is not None:
                    problems += 1
                    print(f"{file.name}: {document['kind']} {document['metadata']['name']}: {version}: {problem}")
    print(f"{len(seen)} different manifests, {checked} validations, {problems} problems")
    return 1 if problems else 0


def _problems(document: dict[str, Any], versions: list[str], crds: Path) -> Iterator[tuple[str, str | None]]:
    """One verdict per Kubernetes version; one in all for a custom resource, whose schema is no version's."""
    group, _, api_version = document["apiVersion"].rpartition("/")
    custom = crds / f"{document['kind'].lower()}_{api_version}.json"
    if custom.exists() or ("." in group and not group.endswith(".k8s.io")):
        yield "custom resource", _custom_problem(document, custom)
        return
    for version in versions:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"Kubernetes {version}", f"{'.'.join(map(str, error.path))}: {error.message}"
        except (kubernetes_validate.InvalidSchemaError, kubernetes_validate.SchemaNotFoundError) as error:
            yield f"Kubernetes {version}", str(error)
        else:
            yield f"Kubernetes {version}", None


def _custom_problem(document: dict[str, Any], schema: Path) -> str | None:
    try:
        jsonschema.validate(document, json.loads(schema.read_text()))
    except FileNotFoundError:
        return f"no schema for {document['apiVersion']} {document['kind']}"
    except jsonschema.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2].split(","), [Path(name) for name in sys.argv[3:]]))
