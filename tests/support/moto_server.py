"""moto's server with what 5.2.5 does otherwise than AWS set right, as far as it matters to the tests.

Run with moto's own arguments: python moto_server.py -H 127.0.0.1 -p 0
"""

import copy
import threading

from moto.core.serialize import S3Serializer
from moto.dynamodb import models
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler
from moto.server import main

# S3 and every SDK call the root of a list of parts ListPartsResult.
plain_body = S3Serializer._serialize_body
S3Serializer._serialize_body = lambda self, body: plain_body(self, body).replace(
    "ListPartsResponse", "ListPartsResult"
)

# DynamoDB's transactions are isolated. moto's requests run in threads, and a transaction that is refused puts whole
# tables back as they were when it began, with what others wrote meanwhile. So one request at a time, and only the
# items that a transaction touches are kept, which also spares copying every table for every item.
alone = threading.RLock()
plain_action = DynamoHandler.call_action
plain_write = models.DynamoDBBackend.transact_write_items


def call_action(self):
    with alone:
        return plain_action(self)


def transact_write_items(self, transact_items):
    before = [(table, key, copy.deepcopy(item)) for table, key, item in touched(self, transact_items)]
    try:
        return plain_write(self, transact_items)
    except Exception:
        for table, (hash_key, range_key), item in before:
            at, name = (table.items[hash_key], range_key) if range_key is not None else (table.items, hash_key)
            if item is not None:
                at[name] = item
            else:
                at.pop(name, None)
        raise


def touched(backend, steps):
    for step in steps:
        kind, what = next(iter(step.items()))
        table = backend.get_table(what["TableName"])
        key = what["Item"] if kind == "Put" else what["Key"]
        hash_key, range_key = backend.get_keys_value(table, key)
        yield table, (hash_key, range_key), table.get_item(hash_key, range_key)


class KeepTables:
    """In the place of the module `copy`: a table is not copied, what else is copied is."""

    @staticmethod
    def deepcopy(what):
        return what if isinstance(what, Table) else copy.deepcopy(what)


models.copy = KeepTables
DynamoHandler.call_action = call_action
models.DynamoDBBackend.transact_write_items = transact_write_items

main()
