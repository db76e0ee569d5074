"""What came of it: results of campaigns, foot traffic, reach; read only."""
