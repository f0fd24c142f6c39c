"""Ports for the tests' servers: nobody else gets one, also before it is bound."""

from __future__ import annotations

import random

import pytest

from tests.servers.process import free_port


def test_a_port_is_handed_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever chance says."""
    first = free_port()
    drawn = iter([first, first, *range(20_000, 21_000)])
    monkeypatch.setattr(random, "choice", lambda _: next(drawn))
    assert free_port() != first


def test_workers_of_one_run_share_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    for worker in range(2):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{worker}")
        assert {free_port() % 2 for _ in range(20)} == {worker}
