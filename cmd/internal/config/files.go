package config

import (
	"reflect"
	"strconv"

	"gopkg.in/yaml.v3"
)

// Files are one file or a list of files.
type Files []string

// decodeNode reads one name as a list of one. An empty name is none.
func (f *Files) decodeNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind == yaml.SequenceNode {
		var names []string
		d.list(n, reflect.ValueOf(&names).Elem(), path)
		for i, e := range n.Content {
			d.lines[path+"["+strconv.Itoa(i)+"]"] = e.Line
		}
		*f = names
		return
	}
	var name string
	d.decode(n, reflect.ValueOf(&name).Elem(), path)
	if name != "" {
		*f = Files{name}
	}
}
