-- What the relay keeps. Names of CCP-1 where it names a table; every text that is a key compares by its bytes.

CREATE TABLE user_profile (
    user_id      text COLLATE "C" PRIMARY KEY,
    handle       text COLLATE "C" NOT NULL UNIQUE,
    display_name text,
    avatar_url   text,
    created_at   timestamptz NOT NULL
);

CREATE TABLE device (
    device_id  text COLLATE "C" PRIMARY KEY,
    user_id    text COLLATE "C" NOT NULL REFERENCES user_profile,
    public_key bytea NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX device_of_user ON device (user_id);

-- CCP-1, Handshake: the audit of every key that was let in, changed or shut out.
CREATE TABLE device_key_event (
    event_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id  text COLLATE "C" NOT NULL REFERENCES device,
    public_key bytea NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('approved', 'rotated', 'revoked')),
    created_at timestamptz NOT NULL
);
CREATE INDEX device_key_event_of_device ON device_key_event (device_id, event_id);

-- Bearer sessions, by the BLAKE3 hash of their token.
CREATE TABLE session (
    token      bytea PRIMARY KEY,
    number     bigint GENERATED ALWAYS AS IDENTITY,
    device_id  text COLLATE "C" NOT NULL REFERENCES device,
    expires_at timestamptz NOT NULL
);
CREATE INDEX session_of_device ON session (device_id, number);
CREATE INDEX session_expiry ON session (expires_at);

CREATE TABLE pairing_code (
    selector   bytea PRIMARY KEY,
    secret     bytea NOT NULL,
    user_id    text COLLATE "C" NOT NULL REFERENCES user_profile,
    issuer     text COLLATE "C" NOT NULL,
    wrong      integer NOT NULL DEFAULT 0,
    issued_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX pairing_code_of_user ON pairing_code (user_id);
CREATE INDEX pairing_code_of_issuer ON pairing_code (issuer);
CREATE INDEX pairing_code_expiry ON pairing_code (expires_at);

CREATE TABLE friend (
    owner    text COLLATE "C" NOT NULL REFERENCES user_profile,
    position integer NOT NULL,
    user_id  text COLLATE "C" NOT NULL,
    handle   text,
    alias    text,
    PRIMARY KEY (owner, position)
);

-- CCP-1, Group Channels. Members may be of other domains, so they refer to no device.
CREATE TABLE chat_group (
    group_id   text COLLATE "C" PRIMARY KEY,
    owner      text COLLATE "C" NOT NULL,
    relay      boolean NOT NULL,
    version    bigint NOT NULL,
    members    bigint NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE group_member (
    group_id  text COLLATE "C" NOT NULL REFERENCES chat_group,
    device_id text COLLATE "C" NOT NULL,
    role      text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    joined_at timestamptz NOT NULL,
    PRIMARY KEY (group_id, device_id)
);

-- The counters of each inbox: one row per device from its first day to its
-- revocation. Updated with every append, so the pages keep room for the next version of a row.
CREATE TABLE inbox (
    key     text COLLATE "C" PRIMARY KEY,
    last_id bigint NOT NULL DEFAULT 0,
    frames  bigint NOT NULL DEFAULT 0,
    bytes   bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- CCP-1, Offline Delivery: key is inbox:{device_id}, id the place in it, never used again.
CREATE TABLE relay_queue (
    key           text COLLATE "C" NOT NULL,
    id            bigint NOT NULL,
    kind          smallint NOT NULL,
    channel       bigint NOT NULL,
    deliver_after timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    payload       bytea NOT NULL,
    PRIMARY KEY (key, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX relay_queue_expiry ON relay_queue (expires_at);
-- Ciphertext does not compress.
ALTER TABLE relay_queue ALTER COLUMN payload SET STORAGE EXTERNAL;

-- CCP-1, Offline Delivery: the last envelope delivered per entity and channel.
CREATE TABLE inbox_offset (
    key        text COLLATE "C" NOT NULL,
    channel    bigint NOT NULL,
    last_id    bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (key, channel)
);
CREATE INDEX inbox_offset_age ON inbox_offset (updated_at);

-- CCP-1, Federation.
CREATE TABLE federation_peer (
    domain     text COLLATE "C" PRIMARY KEY,
    endpoint   text NOT NULL,
    public_key bytea NOT NULL,
    status     text NOT NULL CHECK (status IN ('active', 'pending', 'blocked')),
    updated_at timestamptz NOT NULL
);

-- CCP-1, Security Considerations: what was done already, per scope.
CREATE TABLE idempotency (
    scope      text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_expiry ON idempotency (expires_at);

-- Written by readiness probes.
CREATE TABLE probe (
    id        smallint PRIMARY KEY,
    probed_at timestamptz NOT NULL
);
