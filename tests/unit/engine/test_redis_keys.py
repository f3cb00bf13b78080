from polyglot_gateway.engine.redis_keys import RedisKeys


def test_all_names_have_the_prefix_and_one_channels_share_a_hash_tag() -> None:
    keys = RedisKeys("mine")
    assert keys.presence == "mine:presence"
    assert keys.stream("demo", "room:1") == "mine:{demo:room:1}"
    assert keys.channels("demo") == "mine:{demo}:channels"


def test_no_two_things_have_one_name() -> None:
    keys = RedisKeys("p")
    names = [
        keys.presence,
        keys.channels("a"),
        keys.stream("a", "b"),
        keys.stream("a", "b:key:0"),
    ]
    assert len(set(names)) == len(names)
