INSERT INTO types VALUES ('1 plain', true, 7, 42, 9007199254740993, 26, 1150.00, 1150, 1150, 0.1, 0.1, 'Joliet', 'Chicago, IL', 'IL', 'pg', 'Joliet', '\xdeadbeef',
 '2026-03-08', '14:05:00', '14:05:00-05', '2026-03-08 14:05:00', '2026-03-08 14:05:00-05', '1 year 2 mons 3 days 04:05:06.5',
 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{"a":  1.10}', '{"a":  1.10}', 'b=>2, a=>1', '<load id="1">€</load>', 'DSP', 99.5,
 '10110', '101', '10.0.0.1', '10.0.0.0/8', '08-00-2B-01-02-03', '08:00:2b:01:02:03:04:05', 'Depot.Dock.Door1', '0-393-04002-X', '978-0-393-04002-9',
 '(41.525, -88.0817)', '{1,2,3}', '[(1,2),(3,4)]', '(3,4),(1,2)', '[(1,2),(3,4)]', '((0,0),(0,1),(1,1))', '<(1,2),0.5>');
INSERT INTO types VALUES ('2 least', false, -32768, -2147483648, -9223372036854775808, 0, -0.000000000000000000001, -9999999999.99, '-92233720368547758.08',
 -3.4028235e38, -1.7976931348623157e308, '', '', '', '', '', '', '4713-01-01 BC', '00:00:00', '00:00:00+15:59:59', '4713-01-01 00:00:00 BC',
 '4713-01-01 00:00:00+00 BC', '-178000000 years', '00000000-0000-0000-0000-000000000000', 'null', 'null', '', '', 'AVL', -0.01,
 '00000', '', '0.0.0.0/0', '::/0', '00:00:00:00:00:00', '00:00:00:00:00:00:00:00', '', NULL, NULL,
 '(-0,1e-300)', NULL, NULL, NULL, '((1,2),(3,4))', NULL, '<(0,0),0>');
INSERT INTO types VALUES ('3 most', true, 32767, 2147483647, 9223372036854775807, 4294967295, 123456789012345678901234567890.123456789, 9999999999.99,
 '92233720368547758.07', 3.4028235e38, 1.7976931348623157e308, E'tab\tline\nquote'' back\\ euro € Łódź 🚚', 'É', 'ÄÖÜ', 'Ω', 'ÉCLAIR', '\x00ff5c0a',
 '5874897-12-31', '23:59:59.999999', '24:00:00-15:59', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00',
 '178000000 years 11 mons 30 days 2147483647:00:54.775807', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '[9007199254740993]', '[9007199254740993, 1e400, "€"]',
 '"q\"uote"=>"back\\slash", "NULL"=>"NULL", "n"=>NULL, "€"=>"<&>"', '<?xml version="1.0"?><a>&amp;</a>', 'O''HARE', 999999.99,
 '11111', repeat('10', 40)::varbit, '2001:db8::1/64', '2001:db8::/32', 'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff', 'Łódź', NULL, NULL,
 '(1.7976931348623157e308,-1)', NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO types VALUES ('4 null');
INSERT INTO types VALUES ('5 small parts', true, 0, 0, 0, 1, 0.00, 0, 0.01, 1e-45, 5e-324, ' ', ' ', ' ', ' ', ' ', '\x00', '1900-02-28', '12:00:00.5', '12:00:00.000001+05:30',
 '2026-11-01 01:30:00.000001', '2026-11-01 01:30:00.10-05', '-1 day +00:00:00.000001', '11111111-1111-1111-1111-111111111111', '""', '{}', 'a=>""', 'text',
 'AVL', 0, '00001', '0', '10.0.0.1/24', '10.1.0.0/16');
INSERT INTO types VALUES ('6 large floats', true, 1, 1, 1, 1, 1e30, 1, -1234567.5, 16777216, 1e21, 'x', 'x', 'x', 'x', 'x', '\x01', '2024-02-29', '24:00:00', '24:00:00Z',
 '2024-02-29 23:59:59.1', '2024-02-29 23:59:59.1+00', '14 mons -40 days -100:00:00.25', '11111111-1111-1111-1111-111111111111', '{"k": 1, "k": 2}',
 '{"k": 1, "k": 2}', NULL, NULL, 'AVL', 1);
INSERT INTO types VALUES ('7 not finite', NULL, NULL, NULL, NULL, NULL, 'NaN', 'NaN', NULL, 'NaN', 'Infinity', NULL, NULL, NULL, NULL, NULL, NULL, 'infinity', NULL, NULL,
 '-infinity', 'infinity', '0');
INSERT INTO types VALUES ('8 other eras', NULL, NULL, NULL, NULL, NULL, 'Infinity', NULL, NULL, '-Infinity', 'NaN', NULL, NULL, NULL, NULL, NULL, NULL, '0044-03-15 BC', NULL, NULL,
 '10000-01-01 00:00:00', '0044-03-15 12:00:00.5+00 BC', '1 day');
INSERT INTO types VALUES ('9 first era', NULL, NULL, NULL, NULL, NULL, '-Infinity', NULL, NULL, 'Infinity', '-Infinity', NULL, NULL, NULL, NULL, NULL, NULL, '0001-12-31 BC', NULL, NULL,
 '0001-12-31 23:59:59 BC', '-infinity', '00:00:01');
INSERT INTO arrays VALUES ('1 plain', '{t,f}', '{1,-2}', '{1150,0.5}', '{1150,-0.5}', '{0.1,1e21}', '{Joliet,"Chicago, IL"}', '{IL,WI}', '{"\\xdeadbeef","\\x"}', '{2026-03-08,infinity}',
 '{2026-03-08 14:05:00-05}', '{1 day,0}', '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}', array['{"a": 9007199254740993}', 'null']::jsonb[], array['b=>2,a=>NULL']::hstore[],
 array['O''HARE','AVL']::load_status[], '{1,2.5}', '{1,2}', array['{1,2}', '{3}', NULL]::stops[], '{101,0}', '{10.0.0.1,10.0.0.0/8}', '{(3,4),(1,2);(1,1),(0,0)}',
 '{"[2026-03-01,2026-04-01)",empty}');
INSERT INTO arrays VALUES ('2 nulls', '{NULL}', '{NULL,1,NULL}', '{NULL}', '{NULL}', '{NULL,NaN}', '{NULL,"NULL",""," "}', '{NULL}', '{NULL}', '{NULL}', '{NULL,"0044-03-15 00:00:00+00 BC"}', '{NULL}', '{NULL}',
 '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}');
INSERT INTO arrays VALUES ('3 nested', '{{t},{f}}', '{{{1,2},{3,NULL}},{{5,6},{7,8}}}', '{{1}}', '{{1}}', '{{1}}',
 array[array[E'quote " back \\', '{brace}'], array[E'tab\tline\n', '€,;<&>🚚']], '{{a}}', '{{"\\x00"}}', '{{2026-03-08}}', '{{2026-03-08 00:00:00+00}}', '{{1 day}}',
 '{{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}}', array[array['[1, 2]']]::jsonb[], array[array['a=>"{\"x\"}"']]::hstore[], '{{AVL},{DSP}}', '{{1},{2}}', '{{1,2},{3,4}}',
 NULL, '{{1}}', '{{::1}}', '{{(1,1),(0,0)}}', '{{empty}}');
INSERT INTO arrays VALUES ('4 empty', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
INSERT INTO arrays VALUES ('5 null');
INSERT INTO arrays VALUES ('6 refused', NULL, '[0:1]={1,2}', NULL, NULL, NULL, '[2:2]={a}');
INSERT INTO ranges VALUES ('1 plain', '[1,3]', '[1,9007199254740993)', '[1.50,2.5]', '[2026-03-08 14:05,2026-03-08 15:00)', '[2026-03-08 14:05-05,2026-03-08 15:00-05)', '[2026-03-01,2026-03-31]',
 '[0.1,1e21)', '["a b",c)');
INSERT INTO ranges VALUES ('2 open', '(,5]', '[,]', '(1,)', '[-infinity,infinity]', '(,2026-03-08 00:00+00)', '(,)', '(-Infinity,NaN)', '("quote "" ( , back \\","€{}"]');
INSERT INTO ranges VALUES ('3 empty', 'empty', '[5,5)', '(1,1)', 'empty', 'empty', 'empty', 'empty', 'empty');
INSERT INTO ranges VALUES ('4 null');
INSERT INTO multiranges VALUES ('1 plain', '{[1,3),[7,9)}', '{[1.5,2.5]}', '{[2026-03-08 14:05-05,2026-03-08 15:00-05),[2026-03-09 00:00+00,)}', '{[2026-03-01,2026-03-31],[2026-05-01,2026-05-02)}', '{["a b",c),("d,""",)}', '{"{[1,3),[7,9)}",NULL}');
INSERT INTO multiranges VALUES ('2 empty', '{}', '{empty}', '{}', '{}', '{}', '{}');
INSERT INTO multiranges VALUES ('3 open', '{(,)}', '{(,1)}', '{(,)}', '{(,)}', '{(,)}', NULL);
INSERT INTO multiranges VALUES ('4 null');
