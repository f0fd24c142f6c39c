"""A type that is called like one of PostGIS, which the test servers lack: columns of it are refused."""

from __future__ import annotations

from typing import Final

RASTER: Final = """
CREATE TYPE raster;
CREATE FUNCTION raster_in(cstring) RETURNS raster LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION raster_out(raster) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE raster (INPUT = raster_in, OUTPUT = raster_out, LIKE = text);
"""
