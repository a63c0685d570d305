// Package guest is what a guest sees of its node: sandbox.Host over a replica, held within what the module was granted
// and within what it may take. It never decides when a guest is called: node/supervisor does.
//
//	nx call ─► sandbox ─► Guest: grants (-6), quotas (-7) ─► replica, mesh, messages, web
package guest
