"""The binary log as its format has it: bytes in, messages out. No I/O."""
