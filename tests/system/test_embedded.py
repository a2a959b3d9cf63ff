import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import redis

from webapp.system.embedded import Servers


def test_both_servers_answer_on_sockets_inside_a_private_home_and_keep_their_data(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    servers = Servers(home)
    with servers.running():
        with psycopg.connect(host=str(servers.run_dir), user="hone", dbname="hone") as connection:
            connection.execute("CREATE TABLE kept (value int)")
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
            assert connection.execute("SHOW server_version").fetchone()[0].startswith("18")
        assert redis.Redis(unix_socket_path=str(servers.redis_socket)).ping()
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
    with servers.running(), psycopg.connect(host=str(servers.run_dir), user="hone", dbname="hone") as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_servers_do_not_outlive_whoever_started_them_even_by_sigkill(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    code = (
        "import sys, time, pathlib; from webapp.system.embedded import Servers;"
        "s = Servers(pathlib.Path(sys.argv[1])); p, r = s.start_postgres(), s.start_redis();"
        "print(p.pid, r.pid, flush=True); time.sleep(60)"
    )
    root = Path(__file__).resolve().parents[2]
    starter = subprocess.Popen([sys.executable, "-c", code, str(home)], cwd=root, stdout=subprocess.PIPE, text=True)
    servers = [psutil.Process(int(pid)) for pid in starter.stdout.readline().split()]
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    gone, alive = psutil.wait_procs(servers, timeout=10)
    assert (len(gone), alive) == (2, [])
    with Servers(home).running():
        pass
