"""Tables: paths that lead elsewhere, cells, columns and numbers without measure."""

from __future__ import annotations

from attacks._registry import attack


def manifest(tries, said):
    def enter(lines):
        def make(path):
            path.write_bytes(lines())

        make.__name__ = lines.__name__
        attack("faces", "x.csv", tries, said)(make)
        return lines

    return enter


@manifest("read a file outside of the folder (fault 17)", r"leads out by \.\.")
def csv_traversal():
    return b"path,label\n../../etc/passwd,happy\n"


@manifest("read a file by its absolute path (fault 17)", "is absolute")
def csv_absolute():
    return b"path,label\n/etc/passwd,happy\n"


@manifest("read from a share, which tells it the user's name (fault 17)", "is a network path")
def csv_share():
    return b"path,label\n\\\\evil\\share\\a.png,happy\n"


@manifest("read from the home folder (fault 17)", "begins with ~")
def csv_home():
    return b"path,label\n~/.ssh/id_rsa,happy\n"


@manifest("end a path early by a NUL (fault 17)", "NUL")
def csv_nul():
    return b"path,label\na.png\0.txt,happy\n"


@manifest("fill a cell with 50 MB", "field larger than field limit|cells instead of")
def csv_cell():
    return b'path,label\n"' + b"x" * 50_000_000


@manifest("bring 5 million columns", "has 5,000,001 columns")
def csv_columns():
    return b"a" + b"," * 5_000_000 + b"\n"


@manifest("fill the screen by its header", "no column for the path")
def csv_header():
    return b",".join(b"%d" % i * 1000 for i in range(500)) + b"\n"


@manifest("bring 5 million cells in a row (fault 16)", "cells instead of")
def csv_cells():
    return b"path,label\n" + b"a," * 5_000_000 + b"\n"


@manifest("bring a pixel of a million digits (fault 16)", "pixel")
def fer_digits():
    return b"emotion,pixels,Usage\n0," + b"9" * 1_000_000 + b",Training\n"


@manifest("separate pixels by tabs (fault 16)", "separated by other signs than blanks")
def fer_tabs():
    return b"emotion,pixels,Usage\n0," + b"1\t" * 2304 + b",Training\n"


@manifest("bring 20 million pixels (fault 16)", "20000000 pixels instead of 2304")
def fer_pixels():
    return b"emotion,pixels,Usage\n0," + b"1 " * 20_000_000 + b",Training\n"
