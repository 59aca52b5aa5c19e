-- Rows as the first release stored them. Never changed: later releases must read them.
-- To be put into the tables of migrations 1 and 2.

insert into resources (key, id, type, tracked, envelope, properties, refs, version) values
    ('/subscriptions/0b1f/resourcegroups/rg/providers/microsoft.desktopvirtualization/hostpools/hp1', '/subscriptions/0b1f/resourceGroups/RG/providers/Microsoft.DesktopVirtualization/hostPools/HP1', 'microsoft.desktopvirtualization/hostpools', 1, '{"location":"westeurope","tags":{"Env":"Prod","cost centre":"\u003c7\u003e \u0026 é世"},"kind":"k","managedBy":"m","identity":{"type":"SystemAssigned","tenantId":"t","principalId":"p"},"sku":{"name":"s"},"plan":{"name":"p"},"systemData":{"createdBy":"a@b","createdByType":"User","createdAt":"2026-11-22T10:11:12.3456789Z","lastModifiedBy":"a@b","lastModifiedByType":"User","lastModifiedAt":"2026-11-22T11:11:12.3456789Z"}}', '{ "friendlyName" : "a \u0000 b <c>", "n": 1.50 }', '[{"relation":"package","target":"/subscriptions/0b1f/resourceGroups/RG/providers/Microsoft.DesktopVirtualization/hostPools/Other"}]', 3);
insert into resource_tags (key, name, value) values
    ('/subscriptions/0b1f/resourcegroups/rg/providers/microsoft.desktopvirtualization/hostpools/hp1', 'env', 'Prod');
insert into resource_tags (key, name, value) values
    ('/subscriptions/0b1f/resourcegroups/rg/providers/microsoft.desktopvirtualization/hostpools/hp1', 'cost centre', '<7> & é世');
insert into resource_refs (key, relation, target_key) values
    ('/subscriptions/0b1f/resourcegroups/rg/providers/microsoft.desktopvirtualization/hostpools/hp1', 'package', '/subscriptions/0b1f/resourcegroups/rg/providers/microsoft.desktopvirtualization/hostpools/other');
insert into session_hosts (key, object_id, pool_key, doc, version) values
    ('/subscriptions/0b1f/resourcegroups/rg/providers/microsoft.desktopvirtualization/hostpools/hp1/sessionhosts/host00001', '0000a000-0000-0000-0000-000000000001', '/subscriptions/0b1f/resourcegroups/rg/providers/microsoft.desktopvirtualization/hostpools/hp1', '{"ID":"/subscriptions/0b1f/resourceGroups/RG/providers/Microsoft.DesktopVirtualization/hostPools/hp1/sessionHosts/host00001","ObjectID":"0000A000-0000-0000-0000-000000000001","Pool":"11111111-0000-0000-0000-000000000000","AllowNewSession":true,"AssignedUser":"u@example.org","FriendlyName":"f","Machine":{"hostname":"host00001","fqdn":"host00001.example.org","machineId":"m","smbiosId":"s","bootId":"b","os":"linux","arch":"amd64","osVersion":"12","kind":"Azure","identity":"ad:X"},"PublicKey":"AQL6/w==","Epoch":"e1","NextEpoch":"e2","EnrolledBy":"k","RegisteredAt":"2026-11-22T10:11:12.3456789Z","RevokedAt":"2026-11-22T11:11:12.3456789Z","RevokedReason":"lost","Refused":"clone","RefusedAt":"2026-11-22T10:11:12.3456789Z","ResourceID":"/subscriptions/x","VirtualMachineID":"vm","Report":{"at":"2026-11-22T10:11:12.3456789Z","agentVersion":"1.2.3","sxsVersion":"1","osVersion":"12","checks":[{"name":"UrlsAccessibleCheck","result":"HealthCheckSucceeded","code":0,"at":"2026-11-22T10:11:12.3456789Z"},{"name":"SxSStackListenerCheck","result":"HealthCheckFailed","message":"m","code":7,"at":"2026-11-22T10:11:12.3456789Z"}],"sessions":[{"id":3,"native":"c1","objectId":"o","user":"u@example.org","account":"u","state":"Active","applicationType":"Desktop","createTime":"2026-11-22T10:11:12.3456789Z","clientAddress":"10.0.0.1"}],"components":[{"name":"agent","version":"1.2.3","kept":["1.2.2"],"state":"Running","attempts":1}],"sessionsKnown":true,"tzOffset":3600},"LastSeen":"2026-11-22T10:11:12.3456789Z","EverOnline":true,"StatusAt":"2026-11-22T10:11:12.3456789Z","Update":{"state":"Succeeded","at":"2026-11-22T10:11:12.3456789Z","target":"1.2.3","attempts":1},"Version":0}', 4);
insert into registration_keys (id, pool_key, pool_id, pool, created_at, created_by, expires_at, revoked_at, uses, max_uses, limits) values
    ('k1', '/subscriptions/0b1f/resourcegroups/rg/providers/microsoft.desktopvirtualization/hostpools/hp1', '/subscriptions/0b1f/resourceGroups/RG/providers/Microsoft.DesktopVirtualization/hostPools/HP1', 'pool-hp1', 1795342272345678900, 'a@b', 1795345872345678900, 0, 0, 0, '{"sourceCidr":"10.0.0.0/8","namePattern":"h*","singleHost":"h1"}');
insert into operations (id, scope, status, started, ended, doc) values
    ('op1', '/subscriptions/0b1f/resourcegroups/rg/providers/microsoft.desktopvirtualization/hostpools/hp1', 'Failed', 1795342272345678900, 1795342273345678900, '{"operation":{"ID":"op1","Scope":"/subscriptions/0b1f/resourceGroups/RG/providers/Microsoft.DesktopVirtualization/hostPools/HP1","Status":"Failed","Started":"2026-11-22T10:11:12.3456789Z","Ended":"2026-11-22T10:11:13.3456789Z","Percent":50,"Error":{"code":"EXHAUSTED_REGISTRATION_TOKEN","message":"The registration key has been used as often as it allows. Generate a new key for the host pool.","target":"t"},"Result":{"a":1},"Location":"/x"},"errorKind":2}');
insert into audit_events (id, at, scope_key, caller, caller_id, action, doc) values
    ('e1', 1795342272345678900, '/s', 'c', 'i', 'a', '{"id":"e1","at":"2026-11-22T10:11:12.3456789Z","caller":"c","callerId":"i","callerType":"User","address":"::1","action":"a","scope":"/s","status":403,"code":"x","correlationId":"r","detail":"d"}');
insert into settings (name, doc) values
    ('s', '{"a":1}');
insert into directory_tenant (slot, doc) values
    (1, '{"ID":"t","DisplayName":"T","CreatedAt":"2026-11-22T10:11:12.3456789Z"}');
insert into directory_objects (object_id, kind, place, doc) values
    ('user-001', 'user', 'person001@example.org user-001', '{"ObjectID":"user-001","UPN":"Person001@Example.org","DisplayName":"P","PasswordHash":"$argon2id$","Disabled":true,"Failed":2,"LockedUntil":"2026-11-22T10:11:12.3456789Z","ValidFrom":"2026-11-22T10:11:13.3456789Z","CreatedAt":"2026-11-22T10:11:12.3456789Z"}');
insert into directory_objects (object_id, kind, place, doc) values
    ('sp-1', 'servicePrincipal', 'tool sp-1', '{"ObjectID":"sp-1","AppID":"App-1","ApplicationID":"Reg-1","DisplayName":"tool","RedirectURIs":["http://localhost"],"Public":true,"Disabled":true,"Secrets":[{"ID":"s","DisplayName":"d","Hint":"abc","Hash":"AP8=","CreatedAt":"2026-11-22T10:11:12.3456789Z","ExpiresAt":"2026-11-22T11:11:12.3456789Z"}],"ValidFrom":"2026-11-22T10:11:12.3456789Z","CreatedAt":"2026-11-22T10:11:12.3456789Z"}');
insert into directory_objects (object_id, kind, place, doc) values
    ('g', 'group', 'g g', '{"ObjectID":"g","DisplayName":"G","Description":"","CreatedAt":"2026-11-22T10:11:12.3456789Z"}');
insert into directory_names (kind, name, object_id) values
    ('userPrincipalName', 'person001@example.org', 'user-001');
insert into directory_names (kind, name, object_id) values
    ('appId', 'app-1', 'sp-1');
insert into directory_names (kind, name, object_id) values
    ('applicationId', 'reg-1', 'sp-1');
insert into directory_members (group_id, member_id, member_kind) values
    ('g', 'user-001', 'user');
insert into directory_grants (kind, hash, user_code, family, subject, app_id, expires_at, doc) values
    ('refresh', 'hash1', '', 'family', 'user-001', 'app-1', 1795345872345678900, '{"Kind":"refresh","Hash":"hash1","UserCode":"","Family":"Family","Subject":"user-001","AppID":"App-1","Resource":"https://management.core.windows.net/","Scope":"a b","RedirectURI":"r","Challenge":"c","Nonce":"n","Claims":"pwd mfa","Denied":true,"AuthTime":"2026-11-22T10:11:12.3456789Z","CreatedAt":"2026-11-22T10:11:12.3456789Z","ExpiresAt":"2026-11-22T11:11:12.3456789Z","UsedAt":"2026-11-22T10:11:12.3456789Z"}');
