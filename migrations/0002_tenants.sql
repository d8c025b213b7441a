-- Organizations, the people in them, and how they sign in.

CREATE TABLE organizations (
    organization_id uuid PRIMARY KEY,
    slug text NOT NULL CONSTRAINT organizations_slug UNIQUE,
    name text NOT NULL,
    paused boolean NOT NULL
);
-- The owner of system-scope resources; never a tenant.
INSERT INTO organizations VALUES ('00000000-0000-0000-0000-000000000000', '-system', 'System', false);
SELECT protect('organizations', 'organization_id = app_organization() OR app_platform()', 'SELECT, INSERT, UPDATE', 'SELECT');

CREATE TABLE teams (
    organization_id uuid NOT NULL REFERENCES organizations,
    team_id uuid NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (organization_id, team_id),
    CONSTRAINT teams_name UNIQUE (organization_id, name)
);
SELECT protect_tenant('teams', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT');

-- A person is one e-mail address in the whole installation; roles are per organization.
CREATE TABLE persons (
    person_id uuid PRIMARY KEY,
    email text NOT NULL CONSTRAINT persons_email UNIQUE CHECK (email = lower(email)),
    name text NOT NULL,
    password_hash text,
    platform_role text CHECK (platform_role IN ('platform_admin', 'platform_viewer')),
    disabled_at timestamptz,
    created_at timestamptz NOT NULL
);

CREATE TABLE members (
    organization_id uuid NOT NULL REFERENCES organizations,
    member_id uuid NOT NULL,
    person_id uuid NOT NULL REFERENCES persons,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer', 'billing')),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, member_id),
    CONSTRAINT members_person UNIQUE (organization_id, person_id)
);
SELECT protect_tenant('members', 'SELECT, INSERT, UPDATE, DELETE');

-- Seen through a membership in the bound organization; changed by functions only; the hash is not readable.
SELECT protect('persons', 'app_platform() OR EXISTS (SELECT FROM members m WHERE m.person_id = persons.person_id)', 'REFERENCES', '');
GRANT SELECT (person_id, email, name, platform_role, disabled_at, created_at) ON persons TO tidegate_app;

-- Reached through functions only: a session belongs to a person, not to an organization.
CREATE TABLE sessions (
    session_id uuid PRIMARY KEY,
    person_id uuid NOT NULL REFERENCES persons,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX sessions_person ON sessions (person_id);
SELECT protect('sessions', 'false', '', '');

-- Single-use links: invitation, password reset, first sign-in.
CREATE TABLE sign_in_links (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    person_id uuid NOT NULL REFERENCES persons,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
SELECT protect('sign_in_links', 'false', '', '');

CREATE TABLE service_tokens (
    organization_id uuid NOT NULL REFERENCES organizations,
    token_id uuid NOT NULL,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer', 'billing')),
    platform_role text CHECK (platform_role IN ('platform_admin', 'platform_viewer')),
    token_hash bytea NOT NULL CHECK (length(token_hash) = 32),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (organization_id, token_id)
);
CREATE UNIQUE INDEX service_tokens_name ON service_tokens (organization_id, name) WHERE revoked_at IS NULL;
CREATE UNIQUE INDEX service_tokens_lookup ON service_tokens (token_id);
SELECT protect_tenant('service_tokens', 'SELECT, INSERT, UPDATE');
