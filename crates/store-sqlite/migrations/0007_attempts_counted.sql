-- A session counts its attempts itself. Until now they were counted in the list of its events, which has an end.

UPDATE sessions
    SET data = json_set(data, '$.attempts', (SELECT COUNT(*) FROM attempts a WHERE a.sid = sessions.sid))
    WHERE state IN ('minted', 'claimed');
