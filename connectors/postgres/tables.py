"""Which tables a pipeline captures: the patterns that every part of a pipeline's file is written in."""

from tailrace.patterns import RULE, Pattern, TableFilter

__all__ = ["RULE", "Pattern", "TableFilter"]
