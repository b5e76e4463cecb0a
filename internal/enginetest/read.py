# Reads the Iceberg tables that standard input names and writes one JSON object a
# table. Every cell leaves as text, made by the engine and not by Python.
import glob
import json
import os
import sys

import duckdb

db = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
for name in ("avro", "httpfs", "icu", "iceberg"):
    package = __import__("duckdb_extension_" + name)
    files = glob.glob(os.path.join(os.path.dirname(package.__file__), "extensions", "*", name + ".duckdb_extension"))
    db.execute("load '%s'" % files[0])
db.execute("set timezone = 'UTC'")


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def text(expr, kind):
    if kind == "BLOB":
        return "'\\x' || lower(hex(%s))" % expr
    return "cast(%s as varchar)" % expr


def family(kind):
    return "float" if kind in ("FLOAT", "DOUBLE") else "text"


for table in json.load(sys.stdin):
    answer = {"name": table["name"], "columns": [], "cells": []}
    try:
        source = "iceberg_scan('%s'" % table["metadata"].replace("file://", "").replace("'", "''")
        if table.get("snapshot"):
            source += ", snapshot_from_id = %d" % table["snapshot"]
        source += ")"
        parts = []
        for name, kind in [(r[0], r[1]) for r in db.execute("describe select * from " + source).fetchall()]:
            column = {"name": name, "type": kind, "kind": family(kind)}
            if kind.endswith("[]"):
                column["kind"], column["elem"] = "list", family(kind[:-2])
                parts.append("cast(to_json(list_transform(%s, x -> %s)) as varchar)" % (quote(name), text("x", kind[:-2])))
            else:
                parts.append(text(quote(name), kind))
            answer["columns"].append(column)
        answer["cells"] = db.execute("select %s from %s" % (", ".join(parts), source)).fetchall()
    except Exception as e:
        answer["error"] = "%s: %s" % (type(e).__name__, e)
    json.dump(answer, sys.stdout)
    sys.stdout.write("\n")
