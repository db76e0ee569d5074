BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE api_key (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	scopes TEXT NOT NULL, 
	created_ms BIGINT NOT NULL, 
	expires_ms BIGINT, 
	last_used_ms BIGINT, 
	revoked_ms BIGINT, 
	PRIMARY KEY (id)
);
CREATE TABLE attempt (
	seq INTEGER NOT NULL, 
	delivery INTEGER NOT NULL, 
	started_ms BIGINT NOT NULL, 
	attempt INTEGER NOT NULL, 
	duration_ms INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	next_attempt_ms BIGINT NOT NULL, 
	status INTEGER, 
	error TEXT NOT NULL, 
	answer TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (delivery, started_ms, attempt), 
	FOREIGN KEY(delivery) REFERENCES delivery (seq) ON DELETE CASCADE
);
INSERT INTO "attempt" VALUES(1,1,1767268802000,1,30,'delivered',0,204,'','ok');
CREATE TABLE campaign (
	id TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "campaign" VALUES('buns',2,'{"id":"buns","name":"More buns","trigger":{"on":["enter","dwell"],"zone_ids":[],"zone_tags":["shop","bakery","kiosk"],"exclude":[],"dwell_s":120,"min_confidence":1,"initial":true,"most_specific":false},"offer":{"title":"A bun for {{ zone.properties.special }}","n":1},"endpoints":["crm"],"status":"active","starts":null,"ends":null,"cooldown_s":3600,"valid_s":null,"version":2}');
CREATE TABLE campaign_profile (
	campaign TEXT NOT NULL, 
	profile TEXT NOT NULL, 
	last_fired_ms BIGINT NOT NULL, 
	fired INTEGER NOT NULL, 
	PRIMARY KEY (campaign, profile)
)
 WITHOUT ROWID

;
INSERT INTO "campaign_profile" VALUES('campaign-0','phone-2',1767268802000,1);
INSERT INTO "campaign_profile" VALUES('campaign-1','phone-1',1767268801000,1);
INSERT INTO "campaign_profile" VALUES('campaign-1','phone-3',1767268803000,1);
CREATE TABLE campaign_version (
	campaign TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	changed_ms BIGINT NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (campaign, version)
);
INSERT INTO "campaign_version" VALUES('buns',1,1767268900000,'{"id":"buns","name":"Buns","trigger":{"on":["enter","dwell"],"zone_ids":[],"zone_tags":["shop","bakery","kiosk"],"exclude":[],"dwell_s":120,"min_confidence":1,"initial":true,"most_specific":false},"offer":{"title":"A bun for {{ zone.properties.special }}","n":1},"endpoints":["crm"],"status":"active","starts":null,"ends":null,"cooldown_s":3600,"valid_s":null,"version":1}');
INSERT INTO "campaign_version" VALUES('buns',2,1767268900000,'{"id":"buns","name":"More buns","trigger":{"on":["enter","dwell"],"zone_ids":[],"zone_tags":["shop","bakery","kiosk"],"exclude":[],"dwell_s":120,"min_confidence":1,"initial":true,"most_specific":false},"offer":{"title":"A bun for {{ zone.properties.special }}","n":1},"endpoints":["crm"],"status":"active","starts":null,"ends":null,"cooldown_s":3600,"valid_s":null,"version":2}');
CREATE TABLE catalog (
	one INTEGER NOT NULL CHECK (one = 1), 
	revision BIGINT NOT NULL, 
	PRIMARY KEY (one)
);
INSERT INTO "catalog" VALUES(1,4);
CREATE TABLE counter (
	name TEXT NOT NULL, 
	value BIGINT NOT NULL, 
	PRIMARY KEY (name)
)
 WITHOUT ROWID

;
INSERT INTO "counter" VALUES('attempts',1);
INSERT INTO "counter" VALUES('dead_letters',0);
INSERT INTO "counter" VALUES('decisions_fired',3);
INSERT INTO "counter" VALUES('decisions_refused',1);
INSERT INTO "counter" VALUES('deliveries_delivered',1);
INSERT INTO "counter" VALUES('deliveries_expired',0);
INSERT INTO "counter" VALUES('deliveries_failed',0);
INSERT INTO "counter" VALUES('deliveries_pending',2);
INSERT INTO "counter" VALUES('entries',4);
INSERT INTO "counter" VALUES('transitions',4);
CREATE TABLE dead_letter (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	source TEXT NOT NULL, 
	payload BLOB NOT NULL, 
	reason TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	received_ms BIGINT NOT NULL, 
	position INTEGER
);
CREATE TABLE decision (
	seq INTEGER NOT NULL, 
	stretch BIGINT NOT NULL, 
	id TEXT NOT NULL, 
	campaign TEXT NOT NULL, 
	campaign_version INTEGER NOT NULL, 
	transition TEXT NOT NULL, 
	device TEXT NOT NULL, 
	profile TEXT NOT NULL, 
	zone TEXT NOT NULL, 
	gate TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	decided_ms BIGINT NOT NULL, 
	inputs TEXT NOT NULL, 
	variant TEXT, 
	offer TEXT, 
	expires_ms BIGINT, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "decision" VALUES(1,0,'019b796dd9e864656369646564000000','campaign-1',1,'019b796dd9e86576656e740000000000','phone-1','phone-1','zone-1','fired','every gate let it pass',1767268801000,'{"seen":1,"of":["a",2.5,null]}','b','{"title":"A bun for 2 €"}',1767272401000);
INSERT INTO "decision" VALUES(2,0,'019b796dddd064656369646564000000','campaign-0',1,'019b796dddd06576656e740000000000','phone-2','phone-2','zone-2','fired','every gate let it pass',1767268802000,'{"seen":2,"of":["a",2.5,null]}','b','{"title":"A bun for 2 €"}',1767272402000);
INSERT INTO "decision" VALUES(3,0,'019b796de1b864656369646564000000','campaign-1',1,'019b796de1b86576656e740000000000','phone-3','phone-3','zone-0','fired','every gate let it pass',1767268803000,'{"seen":3,"of":["a",2.5,null]}','b','{"title":"A bun for 2 €"}',1767272403000);
INSERT INTO "decision" VALUES(4,0,'019b796de5a064656369646564000000','campaign-0',1,'019b796de5a06576656e740000000000','phone-4','phone-4','zone-1','cap','every gate let it pass',1767268804000,'{"seen":4,"of":["a",2.5,null]}',NULL,NULL,NULL);
CREATE TABLE delivery (
	seq INTEGER NOT NULL, 
	stretch BIGINT NOT NULL, 
	webhook_id TEXT NOT NULL, 
	endpoint TEXT NOT NULL, 
	type TEXT NOT NULL, 
	device TEXT NOT NULL, 
	zone TEXT NOT NULL, 
	campaign TEXT NOT NULL, 
	created_ms BIGINT NOT NULL, 
	expires_ms BIGINT, 
	state TEXT NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_attempt_ms BIGINT NOT NULL, 
	status INTEGER, 
	finished_ms BIGINT, 
	PRIMARY KEY (seq), 
	UNIQUE (webhook_id, endpoint)
);
INSERT INTO "delivery" VALUES(1,0,'offer_019b796dd9e864656369646564000000','crm','offer.triggered','phone-1','zone-1','campaign-1',1767268801000,1767272401000,'delivered',1,0,204,1767268802030);
INSERT INTO "delivery" VALUES(2,0,'offer_019b796dddd064656369646564000000','crm','offer.triggered','phone-2','zone-2','campaign-0',1767268802000,1767272402000,'pending',0,1767268802000,NULL,NULL);
INSERT INTO "delivery" VALUES(3,0,'offer_019b796de1b864656369646564000000','crm','offer.triggered','phone-3','zone-0','campaign-1',1767268803000,1767272403000,'pending',0,1767268803000,NULL,NULL);
CREATE TABLE delivery_body (
	delivery INTEGER NOT NULL, 
	body BLOB NOT NULL, 
	PRIMARY KEY (delivery), 
	FOREIGN KEY(delivery) REFERENCES delivery (seq) ON DELETE CASCADE
);
INSERT INTO "delivery_body" VALUES(1,X'7B226E756D626572223A20317D');
INSERT INTO "delivery_body" VALUES(2,X'7B226E756D626572223A20327D');
INSERT INTO "delivery_body" VALUES(3,X'7B226E756D626572223A20337D');
CREATE TABLE device (
	device TEXT NOT NULL, 
	state BLOB NOT NULL, 
	PRIMARY KEY (device)
)
 WITHOUT ROWID

;
INSERT INTO "device" VALUES('phone-1',X'0000000000000001');
CREATE TABLE endpoint (
	id TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	url TEXT NOT NULL, 
	secret TEXT NOT NULL, 
	description TEXT NOT NULL, 
	events TEXT, 
	disabled_reason TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "endpoint" VALUES('crm',2,'https://example.org/hook','whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw','',NULL,'');
CREATE TABLE live_log (
	seq INTEGER NOT NULL, 
	devices BLOB NOT NULL, 
	members BLOB NOT NULL, 
	states BLOB NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "live_log" VALUES(2,X'91A770686F6E652D32',X'929197A770686F6E652D32A67A6F6E652D3202CF0000019B796DDDD0CF0000019B796DDDD5D9203031396237393664646464303736363937333639373430303030303030303030C43002020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020290',X'0000000000000002');
INSERT INTO "live_log" VALUES(3,X'91A770686F6E652D33',X'929197A770686F6E652D33A67A6F6E652D3002CF0000019B796DE1B8CF0000019B796DE1BDD9203031396237393664653162383736363937333639373430303030303030303030C43003030303030303030303030303030303030303030303030303030303030303030303030303030303030303030303030390',X'0000000000000003');
INSERT INTO "live_log" VALUES(4,X'91A770686F6E652D34',X'929197A770686F6E652D34A67A6F6E652D3102CF0000019B796DE5A0CF0000019B796DE5A5D9203031396237393664653561303736363937333639373430303030303030303030C43004040404040404040404040404040404040404040404040404040404040404040404040404040404040404040404040490',X'0000000000000004');
CREATE TABLE membership (
	device TEXT NOT NULL, 
	zone TEXT NOT NULL, 
	phase INTEGER NOT NULL, 
	since_ms BIGINT NOT NULL, 
	last_ms BIGINT NOT NULL, 
	visit TEXT NOT NULL, 
	state BLOB NOT NULL, 
	PRIMARY KEY (device, zone)
)
 WITHOUT ROWID

;
INSERT INTO "membership" VALUES('phone-1','zone-1',2,1767268801000,1767268801005,'019b796dd9e876697369740000000000',X'010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101');
CREATE TABLE profile (
	id TEXT NOT NULL, 
	attributes TEXT NOT NULL, 
	consent TEXT NOT NULL, 
	changed_ms BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "profile" VALUES('phone-1','{"tier":"gold"}','{"marketing":true}',1767268900000);
CREATE TABLE run (
	role TEXT NOT NULL, 
	clean BOOLEAN NOT NULL, 
	started_ms BIGINT NOT NULL, 
	ended_ms BIGINT, 
	PRIMARY KEY (role)
);
CREATE TABLE span (
	list TEXT NOT NULL, 
	stretch BIGINT NOT NULL, 
	min_ms BIGINT NOT NULL, 
	max_ms BIGINT NOT NULL, 
	PRIMARY KEY (list, stretch)
)
 WITHOUT ROWID

;
INSERT INTO "span" VALUES('decision',0,1767268801000,1767268804000);
INSERT INTO "span" VALUES('delivery',0,1767268801000,1767268803000);
INSERT INTO "span" VALUES('transition',0,1767268801000,1767268804000);
CREATE TABLE trace (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	device TEXT NOT NULL, 
	recorded_ms BIGINT NOT NULL, 
	ts_ms BIGINT NOT NULL, 
	decided_ms BIGINT NOT NULL, 
	lng FLOAT NOT NULL, 
	lat FLOAT NOT NULL, 
	acc_m FLOAT NOT NULL, 
	status TEXT NOT NULL, 
	moving BOOLEAN NOT NULL, 
	stance TEXT NOT NULL, 
	zone TEXT NOT NULL, 
	distance_m FLOAT, 
	verdict TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	phase_before TEXT NOT NULL, 
	phase_after TEXT NOT NULL
);
INSERT INTO "trace" VALUES(1,'phone-1',1767268900000,1767268801000,1767268801000,24.901,60.2,8.5,'applied',0,'on its way','zone-1',21.25,'in','deep','outside','inside');
INSERT INTO "trace" VALUES(2,'phone-2',1767268900000,1767268802000,1767268802000,2.49019999999999974704e+01,60.2,8.5,'applied',1,'on its way','zone-2',21.25,'in','deep','outside','inside');
INSERT INTO "trace" VALUES(3,'phone-3',1767268900000,1767268803000,1767268803000,24.903,60.2,8.5,'applied',0,'fast','zone-0',21.25,'in','deep','outside','inside');
INSERT INTO "trace" VALUES(4,'phone-4',1767268900000,1767268804000,1767268804000,24.904,60.2,8.5,'applied',1,'on its way','zone-1',21.25,'in','deep','outside','inside');
CREATE TABLE trace_switch (
	device TEXT NOT NULL, 
	until_ms BIGINT NOT NULL, 
	PRIMARY KEY (device)
)
 WITHOUT ROWID

;
INSERT INTO "trace_switch" VALUES('phone-2',1767269300000);
CREATE TABLE transition (
	seq INTEGER NOT NULL, 
	stretch BIGINT NOT NULL, 
	id TEXT NOT NULL, 
	visit TEXT NOT NULL, 
	device TEXT NOT NULL, 
	zone TEXT NOT NULL, 
	zone_revision BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	ts_ms BIGINT NOT NULL, 
	decided_ms BIGINT NOT NULL, 
	confidence INTEGER NOT NULL, 
	p FLOAT NOT NULL, 
	initial BOOLEAN NOT NULL, 
	threshold_s INTEGER, 
	duration_s FLOAT, distance_m FLOAT, accuracy_m FLOAT, reason TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "transition" VALUES(1,0,'019b796dd9e86576656e740000000000','019b796dd9e876697369740000000000','phone-1','zone-1',4,'enter',1767268801000,1767268816000,3,0.97,0,NULL,12.5,NULL,NULL,'');
INSERT INTO "transition" VALUES(2,0,'019b796dddd06576656e740000000000','019b796dddd076697369740000000000','phone-2','zone-2',4,'enter',1767268802000,1767268817000,3,0.97,1,NULL,12.5,NULL,NULL,'');
INSERT INTO "transition" VALUES(3,0,'019b796de1b86576656e740000000000','019b796de1b876697369740000000000','phone-3','zone-0',4,'enter',1767268803000,1767268818000,3,0.97,0,NULL,12.5,NULL,NULL,'');
INSERT INTO "transition" VALUES(4,0,'019b796de5a06576656e740000000000','019b796de5a076697369740000000000','phone-4','zone-1',4,'enter',1767268804000,1767268819000,3,0.97,1,NULL,12.5,NULL,NULL,'');
CREATE TABLE zone (
	"key" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	digest BLOB NOT NULL, 
	name TEXT NOT NULL, 
	tags TEXT NOT NULL, 
	priority INTEGER NOT NULL, 
	entry TEXT NOT NULL, 
	active BOOLEAN NOT NULL, 
	sensitive BOOLEAN NOT NULL, 
	starts_ms BIGINT, 
	ends_ms BIGINT, 
	time_zone TEXT NOT NULL, 
	radius_m FLOAT, 
	west FLOAT NOT NULL, 
	south FLOAT NOT NULL, 
	east FLOAT NOT NULL, 
	north FLOAT NOT NULL, 
	properties TEXT NOT NULL, 
	geometry BLOB NOT NULL, pending_enters BOOLEAN DEFAULT 0 NOT NULL, exit_buffer_m FLOAT, 
	UNIQUE (id)
);
INSERT INTO "zone" VALUES(1,'kamppi',1,X'222D2FE3F6938E5C061A29FEFC0C9D93','The kamppi','["shop","bakery"]',0,'standard',1,0,NULL,NULL,'UTC',NULL,24.9,60.2,24.91,60.21,'{"name":"The kamppi","special":"bun","nested":{"a":[1,2.5,null]}}',X'010300000001000000050000006666666666E638409A99999999194E40295C8FC2F5E838409A99999999194E40295C8FC2F5E838407B14AE47E11A4E406666666666E638407B14AE47E11A4E406666666666E638409A99999999194E40',1,5.0);
CREATE TABLE zone_tombstone (
	id TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	PRIMARY KEY (id)
)
 WITHOUT ROWID

;
CREATE INDEX ix_zone_revision ON zone (revision);
CREATE INDEX ix_zone_tombstone_revision ON zone_tombstone (revision);
CREATE INDEX transition_device ON transition (stretch, device);
CREATE INDEX transition_zone ON transition (stretch, zone);
CREATE INDEX decision_campaign ON decision (stretch, campaign);
CREATE INDEX decision_fired ON decision (seq) WHERE gate = 'fired';
CREATE INDEX decision_device ON decision (stretch, device);
CREATE INDEX decision_zone ON decision (stretch, zone);
CREATE INDEX delivery_campaign ON delivery (stretch, campaign);
CREATE INDEX delivery_zone ON delivery (stretch, zone);
CREATE INDEX delivery_failed ON delivery (seq) WHERE state = 'failed';
CREATE INDEX delivery_oldest ON delivery (created_ms) WHERE state = 'pending';
CREATE INDEX delivery_endpoint ON delivery (stretch, endpoint);
CREATE INDEX delivery_device ON delivery (stretch, device);
CREATE INDEX delivery_due ON delivery (endpoint, next_attempt_ms) WHERE state = 'pending';
CREATE INDEX trace_device ON trace (device, ts_ms);
CREATE INDEX ix_trace_recorded_ms ON trace (recorded_ms);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('zone',1);
INSERT INTO "sqlite_sequence" VALUES('trace',4);
COMMIT;
