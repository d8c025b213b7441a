-- What one must know to change a resource or to pass it on (none: nothing in particular). A control plane that does not
-- know one of them leaves the resource to a later release. Releases before this one neither read nor write it.
ALTER TABLE config_resources ADD COLUMN requires text[];
