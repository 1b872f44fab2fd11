-- A grant's tokens are sealed for whose grant it is and what for. Those from before are found by this index, and sealed
-- again by `alter serve`; then it is empty. (The fifth byte is the version of the sealed value.)

CREATE INDEX grants_unbound ON grants (id)
    WHERE substr(access_token, 5, 1) = '\x01' OR substr(refresh_token, 5, 1) = '\x01' OR substr(id_token, 5, 1) = '\x01';
