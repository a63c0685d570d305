// Package door keeps the HTTP listeners of a node open to all who come: it bounds how many connections
// there are, in all and from one address, and how long each may say nothing or take nothing. It never
// knows what is asked or answered.
//
//	accept ─► waiting ──a request is whole──► busy ──it is answered──► waiting
//	            │  the longest of them is closed when a door is full
//	            └─ closed when it waits too long
package door
