-- A session counts its attempts itself. Until now they were counted in the list of its events, which has an end.

UPDATE sessions
    SET data = jsonb_set(data::JSONB, '{attempts}',
        to_jsonb((SELECT COUNT(*) FROM attempts a WHERE a.sid = sessions.sid)))::TEXT
    WHERE state IN ('minted', 'claimed');
