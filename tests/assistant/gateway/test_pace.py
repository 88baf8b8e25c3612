from assistant.gateway.pace import BURST_SECONDS, Pace


def test_a_burst_is_free_and_what_follows_keeps_the_pace() -> None:
    pace = Pace(10, 100.0)
    burst = int(10 * BURST_SECONDS)
    assert [pace.delay(100.0) for _ in range(burst)] == [0.0] * burst
    assert round(pace.delay(100.0), 6) == 0.1
    assert round(pace.delay(100.1), 6) == 0.1


def test_silence_gives_a_burst_back_and_no_more() -> None:
    pace = Pace(10, 0.0)
    for _ in range(100):
        pace.delay(0.0)
    waits = [round(pace.delay(1000.0), 6) for _ in range(21)]
    assert waits == [0.0] * 20 + [0.1]


def test_no_pace_never_waits() -> None:
    pace = Pace(0, 0.0)
    assert {pace.delay(0.0) for _ in range(10_000)} == {0.0}
