"""Tests with real clients and a real server process; they need system packages and take seconds."""
