-- Enters a session that is stored by a command of its own: in a cluster by another server, perhaps.
-- KEYS: the index. ARGV: the session, for how many milliseconds it can live.
enter(KEYS[1], ARGV[1], ARGV[2])
return answer(STORED)
