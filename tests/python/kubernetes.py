"""Reads the manifests of a directory, each checked against Kubernetes' own schemas.

    python kubernetes.py DIR VERSION FILE...

Prints one JSON array: each document with its file, and what the schema has against it.
"""

import json
import sys
from pathlib import Path

import kubernetes_validate
import yaml


class UniqueKeys(yaml.SafeLoader):
    """A key that is written twice would silently lose its first value."""

    def construct_mapping(self, node, deep=False):
        names = [self.construct_object(key) for key, _ in node.value]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"written twice: {twice}", node.start_mark)
        return super().construct_mapping(node, deep)


def fault(document, version):
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return f"no schema: {error}"
    return None


def main():
    directory, version, files = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    found = []
    for name in files:
        for document in yaml.load_all((directory / name).read_text(), UniqueKeys):
            found.append({"file": name, "document": document, "fault": fault(document, version)})
    json.dump(found, sys.stdout)


main()
