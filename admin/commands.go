package admin

// commands is the console's grammar in the order of its help: first Atlas's
// sixteen with Atlas's descriptions, then what Telamon adds. A line without
// description is another spelling, or an answer Atlas gave.
func commands() []command {
	return []command{
		{"SELECT * FROM help", "shows this help", rows, (*request).showHelp},
		{"SELECT * FROM backends", "lists the backends and their state", rows, list(backendsList)},
		{"SET OFFLINE $backend_id", "offline backend server, $backend_id is backend_ndx's id", mutates, (*request).setOffline},
		{"SET ONLINE $backend_id", "online backend server, ...", mutates, (*request).setOnline},
		{"ADD MASTER $backend", `example: "add master 127.0.0.1:3306", ...`, mutates, (*request).addMaster},
		{"ADD SLAVE $backend", `example: "add slave 127.0.0.1:3306", ...`, mutates, (*request).addSlave},
		{"REMOVE BACKEND $backend_id", `example: "remove backend 1", ...`, mutates, (*request).removeBackend},
		{"SELECT * FROM clients", "lists the clients", rows, list(clients)},
		{"ADD CLIENT $client", `example: "add client 192.168.1.2", ...`, mutates, (*request).notSupported},
		{"REMOVE CLIENT $client", `example: "remove client 192.168.1.2", ...`, mutates, (*request).notSupported},
		{"SELECT * FROM pwds", "lists the pwds", rows, list(accounts)},
		{"ADD PWD $pwd", `example: "add pwd user:raw_password", ...`, mutates | secret, (*request).notSupported},
		{"ADD ENPWD $pwd", `example: "add enpwd user:encrypted_password", ...`, mutates | secret, (*request).notSupported},
		{"REMOVE PWD $pwd", `example: "remove pwd user", ...`, mutates, (*request).notSupported},
		{"SAVE CONFIG", "save the backends to config file", mutates, (*request).saveConfig},
		{"SELECT VERSION", "display the version of Atlas", 0, (*request).showVersion},

		{"SELECT * FROM backends_ext", "lists the backends with weight, lag, reason, version and counters", rows, list(backendsExt)},
		{"ALTER SLAVE WEIGHT $backend_id $weight", `sets a backend's share of reads, example: "alter slave weight 2 5"`, mutates, (*request).alterWeight},
		{"SHOW LAG", "lists how far the replicas are behind", rows, list(lag)},
		{"SHOW POOLS", "lists the connection pools", rows, list(pools)},
		{"EXPLAIN ROUTE $statement", "tells where a statement would go and why, without running it", 0, (*request).explainRoute},
		{"SHOW ROUTES", "counts the statements routed, by target and reason", rows, list(routes)},
		{"SHOW PROCESSLIST", "lists the client sessions", rows, list(processlist)},
		{"KILL QUERY $id", "ends the statement a session is running", mutates, (*request).killQuery},
		{"KILL $id", "ends a session", mutates, (*request).kill},
		{"SHOW CONFIG", "lists the settings in force", rows, list(settings)},
		{"SHOW CONFIG DIFF", "lists what differs from the configuration file", rows, (*request).showConfigDiff},
		{"RELOAD CONFIG", "reads the configuration file again and applies it, all or nothing", mutates, (*request).reload},
		{"RELOAD CONFIG DRY RUN", "tells what RELOAD CONFIG would change", 0, (*request).reloadDryRun},

		{"SHOW FULL PROCESSLIST", "", rows, list(processlist)},
		{"KILL CONNECTION $id", "", mutates, (*request).kill},
		{"SET $state $backend_id", "", yields, (*request).setOther},
	}
}

// list makes a command of a table that needs nothing but Deps.
func list(of func(*Deps) *table) func(*request) (*table, error) {
	return func(r *request) (*table, error) { return of(r.deps()), nil }
}

func (r *request) notSupported() (*table, error) { return nil, ErrNotSupported }

func (r *request) showHelp() (*table, error) {
	t := newTable(column{"command", text}, column{"description", text})
	for _, rule := range r.console.grammar {
		if rule.help != "" {
			t.add(str(rule.pattern), str(rule.help))
		}
	}
	return t, nil
}

func (r *request) showVersion() (*table, error) {
	t := newTable(column{"version", text})
	t.add(str(r.console.cfg.Version))
	return t, nil
}
