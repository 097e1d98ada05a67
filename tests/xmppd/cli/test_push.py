"""Push from the command line."""


def test_beside_a_server_that_sends_itself_nothing_runs(folder, run):
    done = run("push")
    assert done.code == 1
    assert "push.run" in done.err


def test_an_sqlite_file_is_the_servers_own(folder, run):
    done = run("push", "--set", 'push.run="service"')
    assert done.code == 1
    assert "SQLite" in done.err


def test_a_test_needs_an_address(folder, run):
    done = run("push", "test", "@@")
    assert done.code == 1
    assert "@@" in done.err


def test_a_test_needs_a_server(folder, run):
    done = run("push", "test", "juliet@example.org")
    assert done.code == 1
    assert "no server is running" in done.err
