"""Write what is made from the protocol's models: schemas, the web client's types, the tables of docs/protocol.md."""

from pathlib import Path

from assistant.protocol.files import write

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    for path in write(ROOT):
        print(path.relative_to(ROOT))
