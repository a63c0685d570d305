package bench

import "github.com/numax-mesh/numax/node"

// behind adds what the nodes did for the ops, by their own metrics: where to
// look when a figure is not what was hoped for.
func (r *Result) behind(nodes []*node.Node) error {
	total := make(map[string]float64) // metric and labels to the sum over nodes
	for _, n := range nodes {
		families, err := n.Registry().Gather()
		if err != nil {
			return err
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				name := f.GetName()
				for _, l := range m.GetLabel() {
					name += " " + l.GetValue()
				}
				total[name] += m.GetCounter().GetValue()
			}
		}
	}
	entries := total["numax_entries_total local"]
	r.add("entries made", Count, entries)
	if entries > 0 {
		r.bytes("entry as it was announced", int64(total["numax_sync_bytes_total gossip out"]/entries))
	}
	r.add("fsynced commits on all nodes", Count, total["numax_commits_total"])
	r.add("entries that came by repair", Count, total["numax_repaired_entries_total"])
	r.add("gossip messages dropped in queues", Count, total["numax_gossip_dropped_total"])
	r.bytes("of the bytes on the wire: repair", int64(total["numax_sync_bytes_total repair out"]))
	return nil
}
