BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
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
CREATE TABLE arm (
	campaign TEXT NOT NULL, 
	variant TEXT NOT NULL, 
	sent BIGINT NOT NULL, 
	converted BIGINT NOT NULL, 
	PRIMARY KEY (campaign, variant)
)
 WITHOUT ROWID

;
INSERT INTO "arm" VALUES('buns','b',3,0);
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
INSERT INTO "attempt" VALUES(2,2,1767268803000,1,30,'failed',0,500,'','ok');
CREATE TABLE audience (
	id TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	name TEXT NOT NULL, 
	description TEXT NOT NULL, 
	rule TEXT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE audit (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at_ms BIGINT NOT NULL, 
	actor TEXT NOT NULL, 
	action TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	detail TEXT NOT NULL
, digest BLOB DEFAULT (x'') NOT NULL);
INSERT INTO "audit" VALUES(1,1767268900000,'maija','endpoint.put','crm','{"revision":2}',X'C45A3FBAA08992153037D2969924886C4EEB231E0B5E6E06D8356CEF6D2EC401');
INSERT INTO "audit" VALUES(2,1767268900000,'maija','endpoint.rotate','crm','{"revision":4}',X'FDBA57FECBC43A89AE9C8670BA6A965AB8A4FB98EEB8C88339FDE98C064F8903');
INSERT INTO "audit" VALUES(3,1767268900000,'maija','campaign.put','buns','{"version":1}',X'F6BA58C4A018CB3A0C2A7B1D9E4DB02BD50110CCC4370E5A90EA51026FCF657B');
INSERT INTO "audit" VALUES(4,1767268900000,'ops','profile.delete','phone-9','{}',X'37DBB2D9B5E7FEEDDDF8211D607E4BA4028746C96642495D5056C9448D9F98C6');
INSERT INTO "audit" VALUES(5,1767268900000,'cli','export','lounas € "quoted"','{"rows":3,"none":null}',X'238568D11181BB21D2322328D9CF03043E46978F383C8198A43747FA59EDF7F5');
CREATE TABLE behaviour (
	profile TEXT NOT NULL, 
	changed_ms BIGINT NOT NULL, 
	state BLOB NOT NULL, 
	PRIMARY KEY (profile)
);
INSERT INTO "behaviour" VALUES('phone-1',1767268900000,X'86A866697273745F6D73CF0000019B796DD9E8A76C6173745F6D73CF0000019B796DD9E8AC7669736974735F746F74616C01AC6F66666572735F746F74616C01A5737461797381A67A6F6E652D319192CF0000019B796DD9E8FFA568656172649198CF0000019B796DD9E8A462756E73D9203031396237393664643965383634363536333639363436353634303030303030D9203031396237393664643965383736363937333639373430303030303030303030A67A6F6E652D31A162C2CF0000019B9D7A5DE8');
INSERT INTO "behaviour" VALUES('phone-2',1767268900000,X'86A866697273745F6D73CF0000019B796DDDD0A76C6173745F6D73CF0000019B796DDDD0AC7669736974735F746F74616C01AC6F66666572735F746F74616C01A5737461797381A67A6F6E652D329192CF0000019B796DDDD0FFA568656172649198CF0000019B796DDDD0A462756E73D9203031396237393664646464303634363536333639363436353634303030303030D9203031396237393664646464303736363937333639373430303030303030303030A67A6F6E652D32A162C2CF0000019B9D7A61D0');
INSERT INTO "behaviour" VALUES('phone-3',1767268900000,X'86A866697273745F6D73CF0000019B796DE1B8A76C6173745F6D73CF0000019B796DE1B8AC7669736974735F746F74616C01AC6F66666572735F746F74616C01A5737461797381A67A6F6E652D309192CF0000019B796DE1B8FFA568656172649198CF0000019B796DE1B8A462756E73D9203031396237393664653162383634363536333639363436353634303030303030D9203031396237393664653162383736363937333639373430303030303030303030A67A6F6E652D30A162C2CF0000019B9D7A65B8');
INSERT INTO "behaviour" VALUES('phone-4',1767268900000,X'84A866697273745F6D73CF0000019B796DE5A0A76C6173745F6D73CF0000019B796DE5A0AC7669736974735F746F74616C01A5737461797381A67A6F6E652D319192CF0000019B796DE5A0FF');
CREATE TABLE budget_spent (
	campaign TEXT NOT NULL, 
	day TEXT NOT NULL, 
	offers BIGINT NOT NULL, 
	cost_micros BIGINT NOT NULL, 
	PRIMARY KEY (campaign, day)
)
 WITHOUT ROWID

;
INSERT INTO "budget_spent" VALUES('buns','',3,150000);
INSERT INTO "budget_spent" VALUES('buns','2025-12-31',3,150000);
CREATE TABLE campaign (
	id TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "campaign" VALUES('buns',1,'{"id":"buns","name":"Buns","trigger":{"on":["dwell","enter"],"zone_ids":[],"zone_tags":["kiosk","shop","bakery"],"exclude":[],"dwell_s":120,"min_confidence":1,"initial":true,"most_specific":false},"offer":{"title":"A bun for {{ zone.properties.special }}","n":1},"endpoints":["crm"],"status":"active","starts":null,"ends":null,"cooldown_s":3600,"valid_s":null,"version":1,"days":[],"hours":[],"purpose":"marketing","consent_required":false,"audience":"","audiences":[],"holdout":0.0,"salt":"","caps":[],"per_visit":null,"budget":null,"priority":0,"with_others":false,"translations":{},"variants":[],"allocation":"weights","cost_micros":0,"currency":"EUR","pass_attributes":[],"attribution_s":604800,"inside_asked_ms":null}');
CREATE TABLE campaign_profile (
	campaign TEXT NOT NULL, 
	profile TEXT NOT NULL, 
	last_fired_ms BIGINT NOT NULL, 
	fired INTEGER NOT NULL, 
	PRIMARY KEY (campaign, profile)
)
 WITHOUT ROWID

;
INSERT INTO "campaign_profile" VALUES('buns','phone-1',1767268801000,1);
INSERT INTO "campaign_profile" VALUES('buns','phone-2',1767268802000,1);
INSERT INTO "campaign_profile" VALUES('buns','phone-3',1767268803000,1);
CREATE TABLE campaign_version (
	campaign TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	changed_ms BIGINT NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (campaign, version)
);
INSERT INTO "campaign_version" VALUES('buns',1,1767268900000,'{"id":"buns","name":"Buns","trigger":{"on":["dwell","enter"],"zone_ids":[],"zone_tags":["kiosk","shop","bakery"],"exclude":[],"dwell_s":120,"min_confidence":1,"initial":true,"most_specific":false},"offer":{"title":"A bun for {{ zone.properties.special }}","n":1},"endpoints":["crm"],"status":"active","starts":null,"ends":null,"cooldown_s":3600,"valid_s":null,"version":1,"days":[],"hours":[],"purpose":"marketing","consent_required":false,"audience":"","audiences":[],"holdout":0.0,"salt":"","caps":[],"per_visit":null,"budget":null,"priority":0,"with_others":false,"translations":{},"variants":[],"allocation":"weights","cost_micros":0,"currency":"EUR","pass_attributes":[],"attribution_s":604800,"inside_asked_ms":null}');
CREATE TABLE catalog (
	one INTEGER NOT NULL CHECK (one = 1), 
	revision BIGINT NOT NULL, 
	PRIMARY KEY (one)
);
INSERT INTO "catalog" VALUES(1,5);
CREATE TABLE conversion (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id TEXT NOT NULL, 
	profile TEXT NOT NULL, 
	device TEXT NOT NULL, 
	at_ms BIGINT NOT NULL, 
	received_ms BIGINT NOT NULL, 
	value_micros BIGINT NOT NULL, 
	currency TEXT NOT NULL, 
	category TEXT NOT NULL, 
	decision TEXT NOT NULL, 
	campaign TEXT NOT NULL, 
	variant TEXT NOT NULL, 
	zone TEXT NOT NULL, 
	day TEXT NOT NULL, 
	held_out BOOLEAN NOT NULL, 
	by_decision BOOLEAN NOT NULL, 
	UNIQUE (id)
);
CREATE TABLE counter (
	name TEXT NOT NULL, 
	value BIGINT NOT NULL, 
	PRIMARY KEY (name)
)
 WITHOUT ROWID

;
INSERT INTO "counter" VALUES('attempts',2);
INSERT INTO "counter" VALUES('dead_letters',0);
INSERT INTO "counter" VALUES('decisions_fired',3);
INSERT INTO "counter" VALUES('decisions_refused',1);
INSERT INTO "counter" VALUES('deliveries_delivered',1);
INSERT INTO "counter" VALUES('deliveries_expired',0);
INSERT INTO "counter" VALUES('deliveries_failed',1);
INSERT INTO "counter" VALUES('deliveries_pending',1);
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
	expires_ms BIGINT, passed TEXT DEFAULT '{}' NOT NULL, language TEXT DEFAULT '' NOT NULL, visit TEXT DEFAULT '' NOT NULL, cost_micros BIGINT DEFAULT 0 NOT NULL, day TEXT DEFAULT '' NOT NULL, budget_day TEXT DEFAULT '' NOT NULL, counts_until_ms BIGINT DEFAULT 0 NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "decision" VALUES(1,0,'019b796dd9e864656369646564000000','buns',1,'019b796dd9e86576656e740000000000','phone-1','phone-1','zone-1','fired','every gate let it pass',1767268801000,'{"seen":1,"of":["a",2.5,null]}','b','{"title":"A bun for 2 €"}',1767272401000,'{"consent":{"consent.marketing":true}}','sv','019b796dd9e876697369740000000000',50000,'2026-01-01','2025-12-31',1767873601000);
INSERT INTO "decision" VALUES(2,0,'019b796dddd064656369646564000000','buns',1,'019b796dddd06576656e740000000000','phone-2','phone-2','zone-2','fired','every gate let it pass',1767268802000,'{"seen":2,"of":["a",2.5,null]}','b','{"title":"A bun for 2 €"}',1767272402000,'{"consent":{"consent.marketing":true}}','sv','019b796dddd076697369740000000000',50000,'2026-01-01','2025-12-31',1767873602000);
INSERT INTO "decision" VALUES(3,0,'019b796de1b864656369646564000000','buns',1,'019b796de1b86576656e740000000000','phone-3','phone-3','zone-0','fired','every gate let it pass',1767268803000,'{"seen":3,"of":["a",2.5,null]}','b','{"title":"A bun for 2 €"}',1767272403000,'{"consent":{"consent.marketing":true}}','sv','019b796de1b876697369740000000000',50000,'2026-01-01','2025-12-31',1767873603000);
INSERT INTO "decision" VALUES(4,0,'019b796de5a064656369646564000000','campaign-0',1,'019b796de5a06576656e740000000000','phone-4','phone-4','zone-1','cap','every gate let it pass',1767268804000,'{"seen":4,"of":["a",2.5,null]}',NULL,NULL,NULL,'{"consent":{"consent.marketing":true}}','sv','019b796de5a076697369740000000000',50000,'2026-01-01','2025-12-31',1767873604000);
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
INSERT INTO "delivery" VALUES(2,0,'offer_019b796dddd064656369646564000000','crm','offer.triggered','phone-2','zone-2','campaign-0',1767268802000,1767272402000,'failed',1,0,500,1767268803030);
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
	disabled_reason TEXT NOT NULL, previous_secret TEXT DEFAULT '' NOT NULL, previous_until_ms BIGINT DEFAULT 0 NOT NULL, failing_since_ms BIGINT, rate_per_s FLOAT, concurrency INTEGER, 
	PRIMARY KEY (id)
);
INSERT INTO "endpoint" VALUES('crm',4,'https://example.org/hook','gAAAAABrAypCB9UAmMVtFTfNKQGQA_U8gkMJUmbCFTl0eSx6Pi3OeEJfhwxa_SKCoAPmb9H9E_EQhpN7H4lXUGzfV0RH-aQ3kNyKL-Y2GMaogDUa1Apz1cD0Q2_EcMFPKtJbuxsls5vR','',NULL,'','gAAAAABrAypCGoFOD8BZ4jvvbpvbAGKm4fgP31ujA_OQLIC5nVOgVd_t_WJYggXvIYQnyWzaNQ-d3CUpqKU0ZERgDA9_dEWVWcvBkr7w_Qrt8NDGLtsantzcz9P1sljpQn1t4lykafyN',1767271800000,NULL,5.0,3);
INSERT INTO "endpoint" VALUES('till',3,'https://example.org/till','gAAAAABrAypCRSmA1XH-f28Iyyu37NBePVw2RCorkWJ-7eM8zviyon5u0heE-P3L5WmMYRVJqoDr7nItOLHo9aNBqT3mL1gUY2jGzHOLmIWyVmybpv42yBo9nzajmgpt6iYeh7YKL0lq','',NULL,'not yet','',0,NULL,NULL,NULL);
CREATE TABLE exposure (
	profile TEXT NOT NULL, 
	campaign TEXT NOT NULL, 
	held_out BOOLEAN NOT NULL, 
	variant TEXT NOT NULL, 
	first_ms BIGINT NOT NULL, 
	until_ms BIGINT NOT NULL, 
	conversions INTEGER DEFAULT 0 NOT NULL, 
	value_micros BIGINT DEFAULT 0 NOT NULL, 
	PRIMARY KEY (profile, campaign)
)
 WITHOUT ROWID

;
INSERT INTO "exposure" VALUES('phone-1','buns',0,'b',1767268801000,1767873601000,0,0);
INSERT INTO "exposure" VALUES('phone-2','buns',0,'b',1767268802000,1767873602000,0,0);
INSERT INTO "exposure" VALUES('phone-3','buns',0,'b',1767268803000,1767873603000,0,0);
INSERT INTO "exposure" VALUES('phone-4','campaign-0',0,'',1767268804000,1767873604000,0,0);
CREATE TABLE footfall (
	cell BIGINT NOT NULL, 
	day INTEGER NOT NULL, 
	devices BLOB NOT NULL, 
	accuracies BLOB NOT NULL, 
	intervals BLOB NOT NULL, 
	PRIMARY KEY (cell, day)
)
 WITHOUT ROWID

;
CREATE TABLE import_job (
	id TEXT NOT NULL, 
	state TEXT NOT NULL, 
	started_ms BIGINT NOT NULL, 
	changed_ms BIGINT NOT NULL, 
	rows BIGINT NOT NULL, 
	stored BIGINT NOT NULL, 
	refused BIGINT NOT NULL, 
	problems TEXT NOT NULL, 
	PRIMARY KEY (id)
);
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
	changed_ms BIGINT NOT NULL, external_ids TEXT DEFAULT '{}' NOT NULL, quiet_hours TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "profile" VALUES('anna','{"tier":"gold"}','{"marketing":true}',1767268900000,'{}',NULL);
CREATE TABLE profile_device (
	device TEXT NOT NULL, 
	profile TEXT NOT NULL, 
	PRIMARY KEY (device)
)
 WITHOUT ROWID

;
INSERT INTO "profile_device" VALUES('phone-1','anna');
CREATE TABLE run (
	role TEXT NOT NULL, 
	clean BOOLEAN NOT NULL, 
	started_ms BIGINT NOT NULL, 
	ended_ms BIGINT, 
	PRIMARY KEY (role)
);
CREATE TABLE secret (
	name TEXT NOT NULL, 
	value BLOB NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "secret" VALUES('sealed',X'674141414141427241797043305A776F553351593169415970687A5A4C56445F6847447477396A6245524F636A79495875434C566D6B49336A706F3435596A6443497A334A4E75306F6F5F52767A3736706A5F50434F7762377941514841786734513D3D');
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
CREATE TABLE tally (
	campaign TEXT NOT NULL, 
	day TEXT NOT NULL, 
	zone TEXT NOT NULL, 
	variant TEXT NOT NULL, 
	gate TEXT NOT NULL, 
	count BIGINT NOT NULL, 
	cost_micros BIGINT NOT NULL, 
	PRIMARY KEY (campaign, day, zone, variant, gate)
)
 WITHOUT ROWID

;
INSERT INTO "tally" VALUES('buns','2026-01-01','zone-0','b','fired',1,50000);
INSERT INTO "tally" VALUES('buns','2026-01-01','zone-1','b','delivered',1,0);
INSERT INTO "tally" VALUES('buns','2026-01-01','zone-1','b','fired',1,50000);
INSERT INTO "tally" VALUES('buns','2026-01-01','zone-2','b','fired',1,50000);
INSERT INTO "tally" VALUES('campaign-0','2026-01-01','zone-1','','cap',1,50000);
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
CREATE TABLE trace_switch (
	device TEXT NOT NULL, 
	until_ms BIGINT NOT NULL, 
	PRIMARY KEY (device)
)
 WITHOUT ROWID

;
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
INSERT INTO "zone" VALUES(1,'kamppi',1,X'F121CFC7382736C59C2BCC14CBE8F199','The kamppi','["shop","bakery"]',0,'standard',1,0,NULL,NULL,'UTC',NULL,24.9,60.2,24.91,60.21,'{"name":"The kamppi","special":"bun","nested":{"a":[1,2.5,null]}}',X'010300000001000000050000006666666666E638409A99999999194E40295C8FC2F5E838409A99999999194E40295C8FC2F5E838407B14AE47E11A4E406666666666E638407B14AE47E11A4E406666666666E638409A99999999194E40',0,NULL);
CREATE TABLE zone_tombstone (
	id TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	PRIMARY KEY (id)
)
 WITHOUT ROWID

;
CREATE INDEX ix_zone_revision ON zone (revision);
CREATE INDEX ix_zone_tombstone_revision ON zone_tombstone (revision);
CREATE INDEX transition_zone ON transition (stretch, zone);
CREATE INDEX transition_device ON transition (stretch, device);
CREATE INDEX decision_device ON decision (stretch, device);
CREATE INDEX decision_fired ON decision (seq) WHERE gate = 'fired';
CREATE INDEX decision_zone ON decision (stretch, zone);
CREATE INDEX decision_campaign ON decision (stretch, campaign);
CREATE INDEX delivery_oldest ON delivery (created_ms) WHERE state = 'pending';
CREATE INDEX delivery_campaign ON delivery (stretch, campaign);
CREATE INDEX delivery_due ON delivery (endpoint, next_attempt_ms) WHERE state = 'pending';
CREATE INDEX delivery_failed ON delivery (seq) WHERE state = 'failed';
CREATE INDEX delivery_endpoint ON delivery (stretch, endpoint);
CREATE INDEX delivery_device ON delivery (stretch, device);
CREATE INDEX delivery_zone ON delivery (stretch, zone);
CREATE INDEX ix_trace_recorded_ms ON trace (recorded_ms);
CREATE INDEX trace_device ON trace (device, ts_ms);
CREATE INDEX ix_profile_device_profile ON profile_device (profile);
CREATE INDEX exposure_campaign ON exposure (campaign, held_out, variant, conversions);
CREATE INDEX ix_conversion_profile ON conversion (profile);
CREATE INDEX conversion_campaign ON conversion (campaign, day);
CREATE INDEX ix_conversion_decision ON conversion (decision);
CREATE INDEX footfall_day ON footfall (day);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('zone',1);
INSERT INTO "sqlite_sequence" VALUES('audit',5);
COMMIT;
