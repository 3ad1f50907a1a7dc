-- The session is stored by a command of its own: in a cluster by another server, perhaps.
return answer(STORED)
