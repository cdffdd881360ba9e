import multiprocessing
import os
import signal
import time

from wavelight.training.lines import answer, call, listen, receive, send


def caller(port):
    """Call, and start a worker that outlives this process."""
    line = call("127.0.0.1", port)
    if os.fork() == 0:
        time.sleep(5)
        os._exit(0)
    send(line, there=True)
    time.sleep(60)


def test_a_line_ends_with_its_process_though_a_forked_worker_lives_on():
    with listen() as listener:
        port = listener.getsockname()[1]
        process = multiprocessing.get_context("fork").Process(target=caller, args=(port,))
        process.start()
        line = answer(listener, 10)
    assert receive(line) == {"there": True}
    os.kill(process.pid, signal.SIGKILL)
    assert line.poll(2)
    try:
        receive(line)
    except OSError:
        ended = True
    else:
        ended = False
    line.close()
    process.join()
    assert ended
